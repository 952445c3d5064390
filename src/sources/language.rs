// SPDX-License-Identifier: MPL-2.0
//! The language of a stream, in one spelling.
//!
//! Pure. Demuxers of GStreamer write a code of ISO 639-1 where there is one; playlists and applications write what they
//! have: two letters or three, either of the two codes that ISO 639-2 has for some languages, with a region behind it or not.
//! GStreamer's own table is in a library that is not linked here, and says nothing of regions, so the codes are here.

use std::fmt;

/// The code of ISO 639-1, where there is one; else three letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Language([u8; 3]);

/// What says that the language is not known.
const UNKNOWN: [&str; 2] = ["mis", "und"];

/// Each language of ISO 639-1 with its other codes: ISO 639-2 for terminology, then what is written instead.
const CODES: [&str; 16] = [
    "aa=aar ab=abk ae=ave af=afr ak=aka am=amh an=arg ar=ara as=asm av=ava ay=aym az=aze ba=bak",
    "be=bel bg=bul bh=bih bi=bis bm=bam bn=ben bo=bod=tib br=bre bs=bos ca=cat ce=che ch=cha",
    "co=cos cr=cre cs=ces=cze cu=chu cv=chv cy=cym=wel da=dan de=deu=ger dv=div dz=dzo ee=ewe",
    "el=ell=gre en=eng eo=epo es=spa et=est eu=eus=baq fa=fas=per ff=ful fi=fin fj=fij fo=fao",
    "fr=fra=fre fy=fry ga=gle gd=gla gl=glg gn=grn gu=guj gv=glv ha=hau he=heb=iw hi=hin ho=hmo",
    "hr=hrv ht=hat hu=hun hy=hye=arm hz=her ia=ina id=ind=in ie=ile ig=ibo ii=iii ik=ipk io=ido",
    "is=isl=ice it=ita iu=iku ja=jpn jv=jav ka=kat=geo kg=kon ki=kik kj=kua kk=kaz kl=kal km=khm",
    "kn=kan ko=kor kr=kau ks=kas ku=kur kv=kom kw=cor ky=kir la=lat lb=ltz lg=lug li=lim ln=lin",
    "lo=lao lt=lit lu=lub lv=lav mg=mlg mh=mah mi=mri=mao mk=mkd=mac ml=mal mn=mon mr=mar",
    "ms=msa=may mt=mlt my=mya=bur na=nau nb=nob nd=nde ne=nep ng=ndo nl=nld=dut nn=nno no=nor",
    "nr=nbl nv=nav ny=nya oc=oci oj=oji om=orm or=ori os=oss pa=pan pi=pli pl=pol ps=pus pt=por",
    "qu=que rm=roh rn=run ro=ron=rum ru=rus rw=kin sa=san sc=srd sd=snd se=sme sg=sag si=sin",
    "sk=slk=slo sl=slv sm=smo sn=sna so=som sq=sqi=alb sr=srp ss=ssw st=sot su=sun sv=swe sw=swa",
    "ta=tam te=tel tg=tgk th=tha ti=tir tk=tuk tl=tgl tn=tsn to=ton tr=tur ts=tso tt=tat tw=twi",
    "ty=tah ug=uig uk=ukr ur=urd uz=uzb ve=ven vi=vie vo=vol wa=wln wo=wol xh=xho yi=yid=ji",
    "yo=yor za=zha zh=zho=chi zu=zul",
];

impl Language {
    /// Of a code, with or without a region (`pt-BR`), in any letters. None for what is no code, or names no language.
    pub(crate) fn of(code: &str) -> Option<Self> {
        let primary = code.trim().split(['-', '_']).next()?;
        let code = primary.to_ascii_lowercase();
        let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase());
        if !is_code || UNKNOWN.contains(&code.as_str()) {
            return None;
        }
        let mut languages = CODES.iter().flat_map(|line| line.split(' '));
        let known = languages.find(|codes| codes.split('=').any(|other| other == code));
        let code = known
            .and_then(|codes| codes.split('=').next())
            .unwrap_or(&code);
        let mut letters = [0; 3];
        for (letter, byte) in letters.iter_mut().zip(code.bytes()) {
            *letter = byte;
        }
        Some(Self(letters))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.0.iter().take_while(|letter| **letter != 0);
        letters
            .copied()
            .try_for_each(|letter| fmt::Write::write_char(f, char::from(letter)))
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shown(code: &str) -> Option<String> {
        Language::of(code).map(|language| language.to_string())
    }

    #[test]
    fn a_language_has_one_spelling() {
        for (code, expected) in [
            ("en", "en"),
            ("eng", "en"),
            ("ENG", "en"),
            ("en-US", "en"),
            ("en_GB", "en"),
            (" deu ", "de"),
            ("ger", "de"),
            ("de", "de"),
            ("fre", "fr"),
            ("fra", "fr"),
            ("zh-Hant-TW", "zh"),
            ("chi", "zh"),
            ("iw", "he"),
            // No code of two letters, and codes of one's own: as they are.
            ("gsw", "gsw"),
            ("qaa", "qaa"),
            ("mul", "mul"),
            ("xx", "xx"),
        ] {
            assert_eq!(shown(code).as_deref(), Some(expected), "{code}");
        }
    }

    #[test]
    fn what_names_no_language_is_none() {
        for code in [
            "", "und", "UND", "mis", "e", "english", "e1", "é", "12", "-", "??",
        ] {
            assert_eq!(shown(code), None, "{code:?}");
        }
    }

    #[test]
    fn no_code_stands_for_two_languages() {
        let mut seen = BTreeSet::new();
        for codes in CODES.iter().flat_map(|line| line.split(' ')) {
            let mut codes = codes.split('=');
            let two = codes.next().expect("a code");
            assert_eq!(shown(two).as_deref(), Some(two));
            for code in codes.chain([two]) {
                assert!(seen.insert(code), "{code}");
                assert_eq!(shown(code).as_deref(), Some(two));
            }
        }
        // The 184 of ISO 639-1, as many of ISO 639-2, the 20 with a second one, and three that were withdrawn.
        assert_eq!(seen.len(), 184 * 2 + 20 + 3);
    }
}
