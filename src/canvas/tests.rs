//! What is planned against what Celery sent for the same workflow, field by field.

use super::follow::Ended;
use super::*;
use crate::protocol::captures::Capture;
use crate::protocol::{Body, Embed, Envelope, Format, Headers, Limits, Properties, Raw, Steps};
use serde_json::{Value as Json, json};

/// Compares the message with this id to the captured one.
fn assert_sent(plan: &Plan, capture: &str) {
    let capture = captured(capture);
    let id = capture.headers["id"].as_str().unwrap();
    let message = plan.messages.iter().find(|message| message.id.as_str() == id);
    let message = message.unwrap_or_else(|| panic!("{}: not among {plan:#?}", capture.name));
    assert_eq!(as_json(message), expected(&capture), "{}", capture.name);
}

fn captured(name: &str) -> Capture {
    let prefix = format!("{name}.");
    let all = Capture::load(&["task_", "flow_"]);
    all.into_iter().find(|capture| format!("{}.", capture.name) == prefix).expect(name)
}

const COMPARED: [&str; 10] = [
    "task",
    "id",
    "group",
    "group_index",
    "root_id",
    "parent_id",
    "replaced_task_nesting",
    "stamps",
    "stamped_headers",
    "reply_to",
];

fn expected(capture: &Capture) -> Json {
    let mut fields = capture.headers.clone();
    fields.retain(|name, _| COMPARED.contains(&name.as_str()));
    if let Some(queue) = capture.property("reply_to") {
        fields.insert("reply_to".to_owned(), queue.into());
    }
    let body = capture.decoded().unwrap();
    fields.insert("body".to_owned(), body);
    sparse(&Json::Object(fields))
}

fn as_json(message: &Message) -> Json {
    let given = message.given.iter().map(|raw| raw.decode::<Value>().unwrap());
    let args: Vec<_> = given.chain(message.args.iter().cloned()).collect();
    let mut options = message.options.clone();
    let names = options.remove("stamped_headers");
    let stamps = names.iter().flat_map(|names| names.as_array().unwrap()).map(|name| {
        let name = name.as_str().unwrap();
        (name.to_owned(), options[name].clone())
    });
    let stamps: serde_json::Map<_, _> = stamps.map(|(name, value)| (name, json!(value))).collect();
    sparse(&json!({
        "task": message.task,
        "id": message.id,
        "group": message.group,
        "group_index": message.group_index,
        "root_id": message.root.as_ref().unwrap_or(&message.id),
        "parent_id": message.parent,
        "replaced_task_nesting": message.nesting,
        "stamps": stamps,
        "stamped_headers": names,
        "reply_to": message.reply_to,
        "body": [args, message.kwargs, message.embed.to_json()],
    }))
}

/// Without what says nothing: null, empty, the two fields that Celery writes for itself, and ours.
fn sparse(value: &Json) -> Json {
    let says_nothing = |value: &Json| match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Json::Array(items) => items.iter().map(sparse).collect(),
        Json::Object(map) => {
            let kept = map
                .iter()
                .filter(|(name, _)| !["add_to_parent", "chord_size"].contains(&name.as_str()));
            let kept = kept.map(|(name, value)| (name.clone(), sparse(value)));
            kept.filter(|(_, value)| !says_nothing(value)).collect()
        }
        other => other.clone(),
    }
}

fn add(id: &str, args: impl serde::Serialize) -> Signature {
    task("cap.add", id, args)
}

fn task(name: &str, id: &str, args: impl serde::Serialize) -> Signature {
    Signature::call(name, &args).unwrap().option("task_id", id)
}

fn send(canvas: Canvas, reply_to: &str) -> Plan {
    let reply_to = Some(reply_to.to_owned());
    let members_reply_to = reply_to.clone();
    let origin = Origin { reply_to, members_reply_to, ..Origin::default() };
    plan(canvas, None, origin, Ids::Random).unwrap()
}

fn reply_to(capture: &str) -> String {
    captured(capture).property("reply_to").unwrap().to_owned()
}

#[test]
fn a_chain_is_sent_as_celery_sends_it() {
    let steps = [
        add("a412bf26-b5c0-4939-a9f0-30eda6d35495", (1, 2)),
        add("a0c43354-eb37-4582-b173-ce355a647a07", (4,)),
    ];
    let sent = send(chain(steps), &reply_to("task_chain2"));
    assert_sent(&sent, "task_chain2");
    assert_eq!(sent.messages.len(), 1);
}

#[test]
fn a_link_of_a_chain_is_its_last_steps_and_an_errback_is_every_steps() {
    let steps = [
        add("7f30263b-361f-45ef-b8bb-d6999fd5a4e4", (1, 2)),
        add("f6c8b67a-476c-4b03-97d0-2bde0a93ff4f", (3,)),
        add("d1a8726d-fd44-42c7-9200-6df8ed959fcc", (8, 8)).immutable(),
        add("188298ed-0ffd-43af-9ac5-bec0887e5e31", (4,)),
    ];
    let linked = chain(steps)
        .link(&Signature::new("cap.callback"))
        .link_error(&Signature::new("cap.errback_old"));
    assert_sent(&send(linked, &reply_to("task_chain4_errback")), "task_chain4_errback");
}

#[test]
fn the_members_of_a_group_know_their_places() {
    let mut members = vec![Signature::call("cap.add", &(1, 1)).unwrap(); 2];
    members.push(add("765bccc2-f5b1-4cfb-9c06-5ad788fe2ae3", (3, 3)));
    let Canvas::Group(mut three) = group(members) else { unreachable!() };
    three.id = Some("484e34a5-1d97-45d1-9b25-ca9211ec5344".to_owned());
    assert_sent(&send(Canvas::Group(three), &reply_to("task_group3_2")), "task_group3_2");

    let first = chain([
        add("8b406252-9cf0-40cd-aba9-7c5ec0684009", (1, 1)),
        add("1c43f983-7e58-4791-a6c9-7d7555a468aa", (5,)),
    ]);
    let second = add("5daed8ce-7d3d-4729-bbd6-15f75111113d", (2, 2)).into();
    let id = Some("64d044ca-4fd7-4f42-a250-547a2e5a0895".to_owned());
    let group = Canvas::Group(Group { id, tasks: vec![first, second] });
    let sent = send(group, &reply_to("task_group_of_chain_0"));
    assert_sent(&sent, "task_group_of_chain_0");
    assert_sent(&sent, "task_group_of_chain_1");
}

#[test]
fn the_body_of_a_chord_travels_with_its_members() {
    let chord = |id: &str, header: Vec<Canvas>, body: Canvas| {
        Canvas::Chord(Chord { id: Some(id.to_owned()), header, body: Box::new(body) })
    };
    let plain = chord(
        "f4c31d2e-7e36-4520-be04-10c3fd7f8e6a",
        vec![
            add("634db790-b956-408c-8e46-c47c9c96c19d", (1, 1)).into(),
            Signature::new("cap.add").into(),
        ],
        task("cap.tsum", "b6cdf35c-3537-49f2-967e-b0edd9545feb", ()).into(),
    );
    let sent = send(plain, &reply_to("task_chord_header_0"));
    assert_sent(&sent, "task_chord_header_0");
    let begun = [("f4c31d2e-7e36-4520-be04-10c3fd7f8e6a".to_owned(), 2)];
    let chords = sent.chords.into_iter().map(|chord| (chord.group_id, chord.members));
    assert_eq!(chords.collect::<Vec<_>>(), begun);

    let of_chain = chord(
        "ec37c867-344d-4fee-b14a-de3b508529dd",
        vec![
            chain([
                add("3a31b1cc-1ddb-49d9-a113-78e8c50f8a33", (1, 1)),
                add("5494291a-28d8-4b9e-b08f-30ba3d9e7ca8", (2,)),
            ]),
            Signature::new("cap.add").into(),
        ],
        task("cap.tsum", "01e2428b-8326-4f9e-9162-dff7bd641703", ()).into(),
    );
    assert_sent(&send(of_chain, &reply_to("task_chord_of_chain_0")), "task_chord_of_chain_0");

    let inner = chord(
        "9330157f-662e-4c47-8c32-abce9a9dd43e",
        vec![add("4a73fb58-d7b9-461c-8975-0d03929d2655", (1, 1)).into()],
        task("cap.tsum", "8a13c4df-9198-4c74-bc40-14b7d16a6f96", ()).into(),
    );
    let outer = chord(
        "1103e539-dbbf-4531-8d9d-572de9708e24",
        vec![inner, add("dd12a806-b060-4771-91df-35f6ebe2aa9c", (3, 3)).into()],
        task("cap.tsum", "a19b290a-3743-42d6-a7de-c3a4efd34105", ()).into(),
    );
    let sent = send(outer, &reply_to("task_nested_chord_0"));
    assert_sent(&sent, "task_nested_chord_0");
    assert_sent(&sent, "task_nested_chord_2");
    assert_eq!(sent.chords.len(), 2);
}

#[test]
fn a_group_in_the_middle_of_a_chain_becomes_a_chord() {
    let middle = Canvas::Group(Group {
        id: Some("60ebfe25-e46e-4567-9495-581baeea3193".to_owned()),
        tasks: vec![
            add("2aa312f2-ddd5-45c3-95bf-0ef740864f41", (2,)).into(),
            add("9e979284-f9b2-4b5a-b91e-04ce30a6a54c", (3,)).into(),
        ],
    });
    let whole = chain([
        add("b73695fe-ba5d-4423-8fd1-b89149c98a39", (1, 1)).into(),
        middle,
        task("cap.tsum", "15574f5f-f55b-4a45-b207-b7c82a38255c", ()).into(),
        add("3b488d0a-4594-4693-828a-7a19703a6507", (10,)).into(),
    ]);
    let sent = send(whole, &reply_to("task_chain_group_chain"));
    assert_sent(&sent, "task_chain_group_chain");
    assert_eq!(sent.messages.len(), 1);
    assert!(sent.chords.is_empty(), "the worker that comes to it begins it");
}

#[test]
fn many_calls_in_one_task_are_sent_as_celery_sends_them() {
    let items = |range: std::ops::Range<i32>| range.map(|item| vec![item.into(), item.into()]);
    let Canvas::Group(mut chunked) = chunks(&Signature::new("cap.add"), items(0..5), 2) else {
        unreachable!()
    };
    assert_eq!(chunked.tasks.len(), 3);
    chunked.id = Some("b133181e-e49d-4340-9a86-7a1d4cf8bb52".to_owned());
    let Canvas::Task(first) = &mut chunked.tasks[0] else { unreachable!() };
    *first = first.clone().option("task_id", "cb351b71-6334-42b7-8ac7-a2ba7d90b0b9");
    assert_sent(&send(Canvas::Group(chunked), &reply_to("task_chunks_0")), "task_chunks_0");

    let list = |a: i32, b: i32| Value::Array(vec![a.into(), b.into()]);
    let Canvas::Task(mapped) = map(&Signature::new("cap.tsum"), [list(1, 2), list(3, 4)]) else {
        unreachable!()
    };
    let mapped = mapped.option("task_id", "e24f09e7-375f-4ee2-827a-d21cc57797e5");
    assert_sent(&send(mapped.into(), &reply_to("task_map")), "task_map");
}

#[test]
fn links_and_stamps_are_sent_as_celery_sends_them() {
    let id = "558ac3bc-1b94-4f7d-a1b8-e8d9f4eeda49";
    let second = Signature::call("cap.add", &(9, 9)).unwrap().immutable();
    let linked = Canvas::from(add(id, (1, 2))).link(&Signature::new("cap.callback")).link(&second);
    assert_sent(&send(linked, &reply_to("task_link_two_immutable")), "task_link_two_immutable");

    let fail = task("cap.fail", "2ffbbf44-63bd-44dc-85ca-e1205c955ff8", ());
    let fail = Canvas::from(fail).link_error(&Signature::new("cap.errback_old"));
    assert_sent(&send(fail, &reply_to("task_link_error")), "task_link_error");

    let stamped = chain([
        add("2e955124-0f6f-43ef-a269-c71e40c34ba8", (1, 2)),
        add("2d442b1a-f0f7-4eb0-9b29-960ed0215de6", (3,)),
    ]);
    let tenants = Value::Array(vec!["a".into(), "b".into()]);
    let stamped = stamped.stamp("monitoring_id", &"m-1".into()).stamp("tenants", &tenants);
    assert_sent(&send(stamped, &reply_to("task_stamped_chain")), "task_stamped_chain");
}

/// The task of a captured message, and what its message says follows it.
fn received(name: &str) -> (Headers, Embed, String) {
    let capture = captured(name);
    let text = |name: &str| capture.headers[name].as_str().map(str::to_owned);
    let mut headers = Headers::new(text("task").unwrap(), text("id").unwrap().into());
    headers.root_id = text("root_id").map(Into::into);
    headers.group = text("group");
    headers.group_index = capture.headers["group_index"].as_i64();
    let content_type = capture.property("content_type").map(str::to_owned);
    let properties = Properties { content_type, ..Properties::default() };
    let envelope = Envelope { properties, headers: headers.clone(), body: capture.body() };
    let embed = Body::parse(&envelope, &Limits::default()).unwrap().embed().unwrap();
    (headers, embed, capture.property("reply_to").unwrap().to_owned())
}

fn value(value: impl serde::Serialize) -> Raw {
    Raw::encode(Format::Json, &value).unwrap()
}

#[test]
fn the_next_step_is_sent_as_a_celery_worker_sends_it() {
    let (mut headers, mut embed, reply_to) = received("flow_chain_0");
    // As the second step has it.
    embed.chain.pop().unwrap();
    headers.id = "871e5b14-6a64-46cc-bd72-04650d7125c3".into();
    let ended = Ended { headers: &headers, reply_to: Some(&reply_to) };
    assert_sent(&ended.succeeded(embed, &value(7)).unwrap(), "flow_chain_2");
}

#[test]
fn a_chord_in_a_chain_is_sent_as_a_celery_worker_sends_it() {
    let (headers, embed, reply_to) = received("flow_chain_with_group_0");
    let ended = Ended { headers: &headers, reply_to: Some(&reply_to) };
    let sent = ended.succeeded(embed.clone(), &value(2)).unwrap();
    assert_sent(&sent, "flow_chain_with_group_1");
    assert_eq!(sent.chords[0].group_id, "4c1bbb7a-331b-4e3b-81b5-a8f4df1cae19");
    assert_eq!(ended.succeeded(embed, &value(2)).unwrap(), sent, "the same ids again");

    let (headers, embed, reply_to) = received("flow_chain_with_group_1");
    let headers = Headers { id: "a2f7af1c-80ac-4aed-90a0-a1b91f05f28e".into(), ..headers };
    let ended = Ended { headers: &headers, reply_to: Some(&reply_to) };
    let membership = ended.membership(&embed).unwrap();
    assert_eq!(membership.position, Some(0));
    let body = ended.completed(membership.body, &value([4, 5])).unwrap();
    assert_sent(&body, "flow_chain_with_group_3");
}

/// The same apart from an id that Celery makes up, and where the result goes.
fn assert_alike(plan: &Plan, capture: &str) {
    let capture = captured(capture);
    let mut expected = expected(&capture);
    let mut messages = plan.messages.iter().map(as_json);
    let mut message = messages.next().unwrap();
    for json in [&mut expected, &mut message] {
        for made_up in ["id", "group", "reply_to"] {
            json.as_object_mut().unwrap().remove(made_up);
        }
    }
    assert_eq!(message, expected, "{}", capture.name);
}

#[test]
fn callbacks_and_errbacks_are_sent_as_a_celery_worker_sends_them() {
    let extra = Signature::new("cap.callback").kwarg("extra", "x").unwrap();
    let headers = Headers::new("cap.add", "98b7c7e9-152a-4089-97e9-bb1eddb2b9ae".into());
    let ended = Ended { headers: &headers, reply_to: None };
    let embed = Embed { callbacks: vec![extra], ..Embed::default() };
    assert_alike(&ended.succeeded(embed, &value(3)).unwrap(), "flow_link");

    let headers = Headers::new("cap.fail", "25b2f49d-f51c-48df-9df3-29cf3c6f636d".into());
    let ended = Ended { headers: &headers, reply_to: None };
    let errbacks = vec![Signature::new("cap.errback_old")];
    let fallen = ended.failed(Embed { errbacks, ..Embed::default() }).unwrap();
    assert_alike(&fallen.plan, "flow_link_error");
    assert!(fallen.plan.messages[0].group.is_some());
}

#[test]
fn what_replaces_a_task_is_sent_as_a_celery_worker_sends_it() {
    let replaced = |id: &str, embed: Embed, by: Canvas| {
        let headers = Headers::new("cap.replace", id.into());
        let ended = Ended { headers: &headers, reply_to: Some("client") };
        ended.replaced(embed, by).unwrap()
    };
    let call = |a: i32, b: i32| Signature::call("cap.add", &(a, b)).unwrap();
    let single = "b37bac7d-1347-4e3d-89e1-5cfb198f9a31";
    let plan = replaced(single, Embed::default(), call(5, 100).into());
    assert_alike(&plan, "flow_replace_single");
    assert_eq!(plan.messages[0].id.as_str(), single);
    assert_eq!(plan.messages[0].reply_to.as_deref(), Some("client"));

    let id = "2e76d23f-e237-41e6-9e40-65ed3b5cced7";
    let plan = replaced(id, Embed::default(), group([call(5, 1), call(5, 2)]));
    let body = plan.messages[0].embed.chord.as_deref().unwrap();
    assert_eq!((body.task.as_str(), body.option_text("task_id")), ("celery.accumulate", Some(id)));
    assert_eq!(plan.messages[0].nesting, 1);

    let (_, in_chain, _) = received("flow_replace_in_chain_0");
    let id = "7e4a3d28-ac63-49f7-aea1-0d395d821c5f";
    assert_alike(&replaced(id, in_chain, call(5, 100).into()), "flow_replace_in_chain_0");
}

#[test]
fn a_replacement_takes_over_callbacks_and_the_place_in_a_chord() {
    let mut headers = Headers::new("x", "X".into());
    (headers.group, headers.group_index) = (Some("G".to_owned()), Some(3));
    let embed = Embed {
        callbacks: vec![Signature::new("then")],
        chord: Some(Box::new(Signature::new("body"))),
        ..Embed::default()
    };
    let ended = Ended { headers: &headers, reply_to: None };
    let plan = ended.replaced(embed, chain([Signature::new("a"), Signature::new("b")])).unwrap();
    let [first] = &plan.messages[..] else { panic!("one message") };
    assert_eq!((first.embed.callbacks.len(), &first.group), (0, &None));
    let steps = first.embed.chain.clone().into_signatures().unwrap();
    let [last] = &steps[..] else { panic!("one more step") };
    assert_eq!(last.option_text("task_id"), Some("X"));
    assert_eq!(last.option_text("group_id"), Some("G"));
    assert!(last.options.contains_key("link") && last.options.contains_key("chord"));
    assert_eq!(
        ended.replaced(Embed::default(), chain([Canvas::Chain(vec![])])),
        Err(BadCanvas::Empty)
    );
}

/// So a chord's number of members never changes, and its body's list needs no other order.
#[test]
fn whatever_a_member_is_or_becomes_it_has_one_place_and_one_result() {
    let task = |name: &str| Canvas::from(Signature::new(name));
    let spreading = chain([task("a"), group([task("b"), task("c")])]);
    let canvas = chord([spreading, task("d"), group([task("e"), task("f")])], task("body"));
    let headers = Headers::new("x", "X".into());
    let first = Ended { headers: &headers, reply_to: None };
    let embed = Embed { chain: Steps::from_iter([canvas.into()]), ..Embed::default() };
    let plan = first.succeeded(embed, &value(1)).unwrap();
    let [BeginChord { group_id, members: 4 }] = &plan.chords[..] else { panic!("{plan:#?}") };
    let place = |message: &Message| {
        (message.task.clone(), message.embed.chord.as_ref().and(message.group_index))
    };
    let places: Vec<_> = plan.messages.iter().map(place).collect();
    let expected = [("a", None), ("d", Some(1)), ("e", Some(2)), ("f", Some(3))];
    assert_eq!(places, expected.map(|(task, place)| (task.to_owned(), place)));

    // The end of a member, and what replaces one: gathered into a task that stands in its place.
    let member = |index: usize| {
        let message = &plan.messages[index];
        let mut headers = Headers::new(message.task.clone(), message.id.clone());
        (headers.group, headers.group_index) = (message.group.clone(), message.group_index);
        (headers, message.embed.clone())
    };
    let (headers, embed) = member(0);
    let end = Ended { headers: &headers, reply_to: None }.succeeded(embed, &value(1)).unwrap();
    let (headers, embed) = member(1);
    let by = group([task("g"), task("h"), task("i")]);
    let replaced = Ended { headers: &headers, reply_to: None }.replaced(embed, by).unwrap();
    for (gathered, members, position) in [(end, 2, 0), (replaced, 3, 1)] {
        assert_eq!((gathered.chords.len(), gathered.chords[0].members), (1, members));
        let body = gathered.messages[0].embed.chord.as_deref().unwrap();
        assert_eq!(body.task, "celery.accumulate");
        assert_eq!(body.option_text("group_id"), Some(group_id.as_str()));
        assert_eq!(body.options["group_index"], position.into());
        assert!(body.options.contains_key("chord"));
    }
}

#[test]
fn a_failure_reaches_whatever_would_have_followed() {
    let members = [task("m", "m1", ()), task("m", "m2", ())];
    let rest = chain([
        task("b", "b", ()).into(),
        chord(members, task("c", "c", ())),
        group([task("d", "d1", ()), task("d", "d2", ())]),
    ]);
    let outer = chord([chain([task("a", "a", ()).into(), rest])], task("z", "z", ()));
    let sent = send(outer, "q");
    let [first] = &sent.messages[..] else { panic!("one message") };
    let headers = Headers::new("a", first.id.clone());
    let ended = Ended { headers: &headers, reply_to: None };
    let fallen = ended.failed(first.embed.clone()).unwrap();
    let ids: Vec<_> = fallen.unreached.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids[..2], ["b", "c"], "a group at the end of a member is gathered");
    let last = fallen.unreached.last().unwrap();
    let membership = last.membership.as_ref().expect("the outer chord waits for it");
    assert_eq!(membership.body.option_text("task_id"), Some("z"));

    let body = task("z", "z", ())
        .option("link_error", Signature::new("oops").to_value())
        .option("chain", Value::Array(vec![task("y", "y", ()).to_value()]));
    let fallen = ended.body_failed(body).unwrap();
    let ids: Vec<_> = fallen.unreached.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["z", "y"]);
    assert_eq!(fallen.plan.messages[0].task, "oops");
    assert_eq!(as_json(&fallen.plan.messages[0])["body"][0], json!(["z"]));
}

#[test]
fn a_workflow_survives_being_written_and_read() {
    let deep = chain([
        Signature::new("a").into(),
        chord([chain([Signature::new("b"), Signature::new("c")])], group([Signature::new("d")])),
    ]);
    let written = Signature::from(deep.clone());
    assert_eq!(Canvas::read(written), Ok(deep));
    let bad =
        Signature { subtask_type: Some("chord".to_owned()), ..Signature::new("celery.chord") };
    assert_eq!(Canvas::read(bad).unwrap_err().to_string(), "a chord needs `header` in its kwargs");
}

#[test]
fn an_empty_header_is_gathered_at_once_and_nothing_cannot_be_sent() {
    let none: [Signature; 0] = [];
    let sent = send(chord(none.clone(), task("z", "z", ())), "q");
    assert_eq!(as_json(&sent.messages[0])["body"][0], json!([[]]));
    assert!(sent.chords.is_empty());
    for nothing in [chain(none.clone()), group(none)] {
        let planned = plan(nothing, None, Origin::default(), Ids::Random);
        assert_eq!(planned, Err(BadCanvas::Empty));
    }
}

#[test]
fn a_chord_that_would_fill_the_memory_is_refused() {
    let large = |length: usize| Signature::call("z", &("x".repeat(length),)).unwrap();
    let members = || vec![Signature::new("m"); 1_000];
    let planned = plan(chord(members(), large(300_000)), None, Origin::default(), Ids::Random);
    let Err(BadCanvas::TooLarge { members: 1_000, .. }) = planned else { panic!("refused") };
    send(chord(members(), large(1_000)), "q");
}

#[test]
fn what_a_composite_says_goes_to_the_tasks_it_is_meant_for() {
    let mut written = Signature::from(chain([Signature::new("a"), Signature::new("b")]));
    written.args = vec![7.into()];
    let written = written.option("countdown", 3).option("link", Signature::new("l").to_value());
    let Ok(Canvas::Chain(steps)) = Canvas::read(written) else { panic!("a chain") };
    let [Canvas::Task(a), Canvas::Task(b)] = &steps[..] else { panic!("two tasks") };
    assert_eq!((a.args.len(), a.options.contains_key("countdown")), (1, true));
    assert_eq!((b.args.len(), b.options.contains_key("countdown")), (0, false));
    assert!(b.options.contains_key("link") && !a.options.contains_key("link"));
}

#[test]
fn who_waits_for_a_chain_knows_what_comes_before() {
    let whole = chain([
        task("a", "a", ()).into(),
        chord([task("b", "b", ())], task("c", "c", ())),
        task("d", "d", ()).into(),
    ]);
    let sent = send(whole, "q");
    let [shape] = &sent.shapes[..] else { panic!("one workflow") };
    assert_eq!(shape.last(), [&"d".into()]);
    let before = shape.parent().unwrap();
    assert_eq!(before.last(), [&"c".into()]);
    assert_eq!(before.parent().unwrap().last(), [&"b".into()]);
    assert_eq!(before.parent().unwrap().parent().unwrap().last(), [&"a".into()]);
}

/// A Celery task that replaces itself over rpc passes its caller's queue on this way.
#[test]
fn a_task_that_names_who_wants_its_result_keeps_the_name() {
    let named = Signature::new("b").option("reply_to", "theirs");
    let plan = send(chain([Signature::new("a"), named.clone()]), "ours");
    let first = &plan.messages[0];
    let rest = first.embed.chain.clone().into_signatures().unwrap();
    assert_eq!(first.reply_to.as_deref(), Some("ours"));
    assert_eq!(rest[0].option_text("reply_to"), Some("theirs"));
    assert_eq!(send(named.into(), "ours").messages[0].reply_to.as_deref(), Some("theirs"));
}

#[test]
fn the_next_step_answers_where_the_chain_is_waited_for_and_callbacks_answer_nobody() {
    let headers = Headers::new("x", "X".into());
    let mut chain = Steps::default();
    chain.extend([Signature::new("next")]);
    let embed = Embed { callbacks: vec![Signature::new("then")], chain, ..Embed::default() };
    let ended = Ended { headers: &headers, reply_to: Some("caller") };
    let plan = ended.succeeded(embed, &value(1)).unwrap();
    let answers = plan.messages.iter().map(|it| (it.task.as_str(), it.reply_to.as_deref()));
    assert_eq!(answers.collect::<Vec<_>>(), [("then", None), ("next", Some("caller"))]);
}
