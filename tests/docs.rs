// SPDX-License-Identifier: MPL-2.0
//! What the documents say is so: pipelines parse, tables agree with the code in both directions,
//! message fields are those of real messages, links lead somewhere.

#[path = "support/face.rs"]
#[allow(dead_code)]
mod face;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use face::{ELEMENTS, default_of, own, own_signals, root, start};
use gst::glib;
use gst::prelude::*;
use gstfailover::policy::{Cause, HealthKind};

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
const ELEMENT_DOCS: [&str; 3] = [
    "src/failoversrc/mod.rs",
    "src/switch/mod.rs",
    "src/webrtc/mod.rs",
];

#[test]
fn every_pipeline_can_be_pasted() {
    start();
    let mut complaints = vec![];
    let element_docs = ELEMENT_DOCS.into_iter().zip([2, 1, 1]);
    for (document, at_least) in element_docs.chain([("README.md", 6)]) {
        let commands = commands(&text_of(document));
        assert!(
            commands.len() >= at_least,
            "{document} has {} pipelines",
            commands.len()
        );
        for command in commands {
            if let Err(error) = parse(&command) {
                complaints.push(format!("{document}: {error}\n    {}", command.join(" ")));
            }
        }
    }
    tell(complaints);
}

#[test]
fn property_tables_agree_with_the_code() {
    start();
    let mut complaints = vec![];
    let switch = make("failoverswitch");
    let pad = switch.request_pad_simple("sink_0").expect("a sink pad");
    let objects = [
        (
            "Properties of failoversrc",
            make("failoversrc").upcast::<glib::Object>(),
        ),
        ("Properties of failoverswitch", switch.upcast()),
        ("Properties of its sink pads", pad.upcast()),
        (
            "Properties of webrtcplaysrc",
            make("webrtcplaysrc").upcast(),
        ),
    ];
    for (heading, object) in objects {
        let rows = table(heading);
        let said: BTreeMap<_, _> = rows
            .iter()
            .map(|row| (unquoted(&row[0]), &row[1..4]))
            .collect();
        let all = object.list_properties();
        let own = own(&all, object.type_());
        let names: BTreeSet<_> = own.iter().map(|pspec| pspec.name()).collect();
        let unknown = said.keys().filter(|name| !names.contains(**name));
        complaints.extend(unknown.map(|name| format!("{heading}: there is no {name}")));
        for pspec in own {
            let right = [type_of(pspec), shown_default(pspec), when(&object, pspec)];
            let name = pspec.name();
            match said.get(name) {
                None => complaints.push(format!("{heading}: {name} is missing")),
                Some(row) if **row != right => {
                    complaints.push(format!("{heading}: {name} is {right:?}, not {row:?}"));
                }
                Some(_) => (),
            }
        }
    }
    tell(complaints);
}

#[test]
fn the_signal_table_agrees_with_the_code() {
    start();
    let said: BTreeSet<_> = table("Signals and actions of failoversrc")
        .iter()
        .map(|row| {
            let types = row[2]
                .split(',')
                .filter_map(|p| p.split_whitespace().next());
            let types: Vec<_> = types.map(str::to_owned).collect();
            (unquoted(&row[0]).to_owned(), row[1].clone(), types)
        })
        .collect();
    let owner = make("failoversrc").type_();
    let code: BTreeSet<_> = own_signals(owner)
        .iter()
        .map(|signal| {
            let is_action = signal.flags().contains(glib::SignalFlags::ACTION);
            let kind = if is_action { "action" } else { "signal" };
            let types = signal
                .param_types()
                .iter()
                .map(|t| t.type_().name().to_owned());
            let types: Vec<_> = types.collect();
            (signal.signal_name().to_owned(), kind.to_owned(), types)
        })
        .collect();
    assert_eq!(said, code);
    assert!(
        own_signals(make("failoverswitch").type_()).is_empty(),
        "it has no table"
    );
}

#[test]
fn tables_of_nicks_agree_with_the_code() {
    start();
    let status = make("failoversrc").property_value("status").type_();
    let status = glib::EnumClass::with_type(status).expect("status is an enum");
    let status: Vec<_> = status
        .values()
        .iter()
        .map(|v| v.nick().to_owned())
        .collect();
    assert_eq!(first_column("status"), status);
    let states = [
        HealthKind::Idle,
        HealthKind::Connecting,
        HealthKind::Flowing,
        HealthKind::Suspect,
        HealthKind::Incomplete,
        HealthKind::Stalled,
        HealthKind::Down,
    ];
    assert_eq!(
        first_column("States of an input"),
        states.map(HealthKind::as_str)
    );
    let causes = [
        Cause::Stall,
        Cause::Incomplete,
        Cause::Eos,
        Cause::Error,
        Cause::Identity,
        Cause::Closed,
        Cause::Startup,
        Cause::Recovered,
        Cause::Manual,
    ];
    assert_eq!(first_column("Causes"), causes.map(Cause::as_str));
}

#[test]
fn message_tables_are_those_of_real_messages() {
    start();
    let real = a_failover();
    for name in ["failover-switched", "failover-input-state"] {
        assert_eq!(fields_said(name), real[name], "{name}");
    }
    assert_eq!(fields_said("stats"), real["stats"], "stats");
    assert_eq!(
        fields_said("Each input of stats"),
        real["input"],
        "inputs of stats"
    );
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = vec![];
    for document in DOCUMENTS {
        let text = text_of(document);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if !file.is_empty() && !root().join(file).exists() {
                complaints.push(format!("{document}: {file} is not there"));
            }
            if !anchor.is_empty() && file.is_empty() && !anchors(&text).contains(anchor) {
                complaints.push(format!("{document}: no heading for #{anchor}"));
            }
        }
    }
    tell(complaints);
}

#[test]
fn every_element_has_its_name_in_the_readme() {
    let readme = text_of("README.md");
    for element in ELEMENTS {
        assert!(readme.contains(&format!("`{element}`")), "{element}");
    }
}

#[test]
fn the_reader_of_commands_reads_as_a_shell_does() {
    let text = "```sh\n# a remark\nA=x%20y   # another\nGST_DEBUG='f*:4' gst-launch-1.0 -e -m one \\\n    p=\"two ! three\" ! $A\nmake demo\n```\n";
    assert_eq!(commands(text), [["one", "p=two ! three", "!", "x%20y"]]);
}

/// The arguments of every gst-launch-1.0 in the sh blocks of a text, as a shell would pass them.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![];
    let mut variables = BTreeMap::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.replace("\\\n", " ").lines() {
            let words = shell_words(line, &variables);
            let launch = words.iter().position(|word| word == "gst-launch-1.0");
            if let Some(launch) = launch {
                let arguments = words.into_iter().skip(launch + 1);
                commands.push(arguments.skip_while(|word| word.starts_with('-')).collect());
            } else if let [only] = &words[..]
                && let Some((name, value)) = only.split_once('=')
            {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    commands
}

fn shell_words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut quote) = (vec![], None::<String>, None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let value = variables.get(&name);
                let value = value.unwrap_or_else(|| panic!("${name} is not set in: {line}"));
                word.get_or_insert_default().push_str(value);
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is open at the end of: {line}");
    words.extend(word);
    words
}

fn parse(command: &[String]) -> Result<(), String> {
    let arguments: Vec<_> = command.iter().map(String::as_str).collect();
    gst::parse::launchv_full(&arguments, None, gst::ParseFlags::FATAL_ERRORS)
        .map_err(|error| error.to_string())?;
    let uris = command.iter().filter_map(|word| word.strip_prefix("uri="));
    for uri in uris.filter(|uri| uri.starts_with("failover:")) {
        let source = make("failoversrc");
        let handler = source.dynamic_cast_ref::<gst::URIHandler>();
        let handler = handler.ok_or("failoversrc takes no URI")?;
        handler.set_uri(uri).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Brings a primary to fail with an error, and gives the fields of all that was told.
fn a_failover() -> BTreeMap<&'static str, BTreeSet<(String, String)>> {
    let pipeline = gst::parse::launch(
        "failoversrc name=in timeout=2000000000
           primary-source=\"audiotestsrc is-live=true samplesperbuffer=441 ! identity error-after=5\"
           backup-source=\"audiotestsrc is-live=true samplesperbuffer=441
                           videotestsrc is-live=true ! valve name=camera\"
         ! fakesink sync=false",
    );
    let pipeline = pipeline.expect("it parses").downcast::<gst::Pipeline>();
    let pipeline = pipeline.expect("it is a pipeline");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let mut real = BTreeMap::<_, BTreeSet<_>>::new();
    let limit = gst::ClockTime::from_seconds(20);
    while !["switched away", "failed", "incomplete"]
        .iter()
        .all(|mark| real.contains_key(mark))
    {
        if real.contains_key("switched away") {
            let camera = pipeline.by_name("camera").expect("it has its name");
            camera.set_property("drop", true);
        }
        let message = bus
            .timed_pop_filtered(limit, &[gst::MessageType::Element, gst::MessageType::Error])
            .expect("the backup goes on air");
        assert!(message.type_() == gst::MessageType::Element, "{message:?}");
        let Some(structure) = message.structure() else {
            continue;
        };
        let (told, mark) = match structure.name().as_str() {
            "failover-switched" => ("failover-switched", "switched away"),
            "failover-input-state" => ("failover-input-state", "failed"),
            _ => continue,
        };
        real.entry(told).or_default().extend(fields(structure));
        let away = structure.get::<i32>("from").is_ok_and(|from| from == 0);
        if away || structure.has_field("text") {
            real.entry(mark).or_default();
        }
        if structure.has_field("missing") {
            real.entry("incomplete").or_default();
        }
    }
    let source = pipeline.by_name("in").expect("it has its name");
    let stats = source.property::<gst::Structure>("stats");
    real.insert("stats", fields(&stats));
    let inputs = stats.get::<gst::Array>("inputs").expect("inputs");
    let input = inputs.first().expect("the primary").get::<gst::Structure>();
    real.insert("input", fields(&input.expect("a structure")));
    pipeline.set_state(gst::State::Null).expect("it stops");
    real
}

fn fields(structure: &gst::StructureRef) -> BTreeSet<(String, String)> {
    let fields = structure.iter();
    let fields = fields.map(|(name, value)| (name.to_string(), value.type_().name().to_owned()));
    fields.collect()
}

fn fields_said(heading: &str) -> BTreeSet<(String, String)> {
    let rows = table(heading);
    rows.iter()
        .map(|row| (unquoted(&row[0]).to_owned(), row[1].clone()))
        .collect()
}

fn first_column(heading: &str) -> Vec<String> {
    table(heading)
        .iter()
        .map(|row| unquoted(&row[0]).to_owned())
        .collect()
}

/// The cells of the first table below a heading of the README.
fn table(heading: &str) -> Vec<Vec<String>> {
    let readme = text_of("README.md");
    let below = readme.lines().skip_while(|line| {
        !line.starts_with('#') || line.trim_start_matches('#').trim() != heading
    });
    let rows = below.skip(1).take_while(|line| !line.starts_with('#'));
    let rows = rows
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|c| c.trim().to_owned())
            .collect()
    };
    let rows: Vec<_> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "README.md has no table below '{heading}'");
    rows
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn type_of(pspec: &glib::ParamSpec) -> String {
    if let Some(class) = glib::EnumClass::with_type(pspec.value_type()) {
        let nicks = class
            .values()
            .iter()
            .map(|value| format!("`{}`", value.nick()));
        return nicks.collect::<Vec<_>>().join(", ");
    }
    let is_time = pspec
        .blurb()
        .is_some_and(|blurb| blurb.ends_with("(in nanoseconds)"));
    match pspec.value_type().name() {
        "guint64" if is_time => "ns",
        "guint64" if pspec.name().ends_with("-bytes") => "bytes",
        "guint64" => "count",
        "gint" => "int",
        "guint" => "uint",
        "gboolean" => "bool",
        "gchararray" => "string",
        "GstValueArray" => "strings",
        "GstElement" => "element",
        "GstPad" => "pad",
        "GstStructure" => "structure",
        other => other,
    }
    .to_owned()
}

fn shown_default(pspec: &glib::ParamSpec) -> String {
    let default = default_of(pspec);
    match type_of(pspec).as_str() {
        "ns" if default == u64::MAX.to_string() => "-1".to_owned(),
        "ns" if default != "0" => {
            let seconds = default.parse::<f64>().expect("a number") / 1e9;
            format!("{seconds} s")
        }
        "bytes" => format!("{} MiB", default.parse::<u64>().expect("a number") >> 20),
        "strings" if default == "<  >" => "none".to_owned(),
        kind if kind.starts_with('`') => format!("`{default}`"),
        _ => default,
    }
}

fn when(object: &glib::Object, pspec: &glib::ParamSpec) -> String {
    let flags = pspec.flags();
    // Pads have no states: what can be written can be written at any time.
    let is_pad = object.is::<gst::Pad>();
    match () {
        () if !flags.contains(glib::ParamFlags::WRITABLE) => "never",
        () if is_pad || flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) => "any time",
        () if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) => "stopped",
        () => "not said",
    }
    .to_owned()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// A document; of a source file, what its head says to the reader.
fn text_of(document: &str) -> String {
    let text = fs::read_to_string(root().join(document));
    let text = text.unwrap_or_else(|error| panic!("{document}: {error}"));
    if !document.ends_with(".rs") {
        return text;
    }
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    lines
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}

fn make(element: &str) -> gst::Element {
    let made = gst::ElementFactory::make(element).build();
    made.unwrap_or_else(|error| panic!("{element}: {error}"))
}

fn tell(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
