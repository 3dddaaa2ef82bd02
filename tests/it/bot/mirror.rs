//! The mirror: the kitchen's old pages find the order in the Realtime Database, what they do there counts here, and a database that is not
//! there costs nobody anything. The database is [`crate::support::old_place`].

use serde_json::{Value, json};
use sessiond::demo::until;

use super::{Scene, TENANT};
use crate::{
    moving::import_live::set_old_place,
    support::{
        old_place::{Fault, OldPlace},
        stage::{Home, LIMIT, Stage, await_death},
    },
};

async fn mirrored() -> (Stage, OldPlace) {
    let place = OldPlace::start_writable(json!({ "tenants": { TENANT: { "membership": { "plan": "pro" } } } })).await;
    let stage = Stage::new(Home::Embedded).await.unwrap();
    (set_old_place(stage, &place).set("SESSIOND_BOT__MIRROR", "rtdb"), place)
}

fn path(of: &str) -> String {
    format!("tenants/{TENANT}/{of}")
}

async fn await_at(scene: &Scene, place: &OldPlace, of: &str, expected: Value) {
    let path = path(of);
    let there = until(LIMIT, of, async || place.at(&path) == expected).await;
    there.unwrap_or_else(|error| panic!("{error}: {}\n{}", place.at(&path), scene.stage.log()));
}

async fn await_here(scene: &Scene, id: &str, stage: &str) {
    let here = async || scene.ok("GET", &format!("orders/{id}"), None).await["estado"] == stage;
    let moved = until(LIMIT, stage, here).await;
    moved.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
}

/// Places an order of a customer's; gives its number.
async fn order(scene: &Scene, nth: usize) -> String {
    order_of(scene, &scene.customer(nth)).await
}

async fn order_of(scene: &Scene, customer: &str) -> String {
    scene.order_up_to_the_summary(customer).await;
    scene.talk(customer, "sí").await;
    let found = scene.orders().await;
    let of = |order: &&Value| order["telefono"] == json!(customer);
    found.iter().find(of).unwrap_or_else(|| panic!("{found:#?}"))["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kitchens_page_finds_the_order_and_its_steps_count_here() {
    let (stage, place) = mirrored().await;
    let scene = Scene::open_on(stage).await.unwrap();
    await_at(&scene, &place, "whatsapp/baileys/phoneNumber", json!(scene.conversation.number)).await;
    let flags = ["restaurant/whatsappConnected", "whatsapp/baileys/connected", "membership/plan"];
    assert_eq!(flags.map(|of| place.at(&path(of))), [json!(true), json!(true), json!("pro")]);

    let (ana, id) = (scene.customer(0), order(&scene, 0).await);
    await_at(&scene, &place, &format!("pedidos/{id}/estado"), json!("pendiente")).await;
    let shown = place.at(&path(&format!("pedidos/{id}")));
    let found = ["id", "tenantId", "telefono", "total", "fuente", "paymentStatus"].map(|name| shown[name].clone());
    let expected = [json!(id), json!(TENANT), json!(ana), json!(55_000), json!("whatsapp"), json!("CASH")];
    assert_eq!((found, shown["items"].as_array().unwrap().len()), (expected, 2), "{shown:#}");

    // The kitchen begins there, goes on here, and delivers there.
    place.set(&path(&format!("pedidos/{id}/inicioCocinado")), json!("10:30"));
    place.set(&path(&format!("pedidos/{id}/estado")), json!("cocinando"));
    await_here(&scene, &id, "cocinando").await;
    scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "listo" }))).await;
    await_at(&scene, &place, &format!("pedidos/{id}/estado"), json!("listo")).await;
    let shown = place.at(&path(&format!("pedidos/{id}")));
    assert_eq!((&shown["inicioCocinado"], shown["horaListo"].is_i64()), (&json!("10:30"), true), "{shown:#}");
    let mut delivered = shown;
    (delivered["estado"], delivered["horaEntrega"]) = (json!("entregado"), json!(1));
    place.set(&path(&format!("historial/{id}")), delivered.clone());
    place.set(&path(&format!("pedidos/{id}")), Value::Null);
    await_here(&scene, &id, "entregado").await;

    // One that is over here leaves the board there.
    let second = order(&scene, 1).await;
    await_at(&scene, &place, &format!("pedidos/{second}/estado"), json!("pendiente")).await;
    scene.ok("POST", &format!("orders/{second}/stage"), Some(json!({ "stage": "cancelado" }))).await;
    await_at(&scene, &place, &format!("historial/{second}/estado"), json!("cancelado")).await;
    assert_eq!(place.at(&path("pedidos")), Value::Null);
    assert_eq!(place.at(&path(&format!("historial/{id}"))), delivered, "written over what the kitchen had written");

    // A page that only moves it has delivered it, whatever it still says.
    let third = order_of(&scene, &scene.stage.network.add_customer().await).await;
    await_at(&scene, &place, &format!("pedidos/{third}/estado"), json!("pendiente")).await;
    place.set(&path(&format!("historial/{third}")), place.at(&path(&format!("pedidos/{third}"))));
    place.set(&path(&format!("pedidos/{third}")), Value::Null);
    await_here(&scene, &third, "entregado").await;
    await_at(&scene, &place, &format!("historial/{third}/estado"), json!("entregado")).await;

    // Each step was told once: what is said last comes last.
    scene.talk(&ana, "hablar con alguien").await;
    let got = scene.got(&ana).await;
    let told = |word: &str| got.iter().filter(|text| text.contains(word)).count();
    assert_eq!(
        (told(&format!("*#{id}* ya está en la cocina")), told(&format!("*#{id}* está listo"))),
        (1, 1),
        "{got:#?}"
    );
    scene.daemon.kill().await.unwrap();
}

/// It dies between the order in the database and the word that it is there, and the kitchen has begun before it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_mirrored_whatever_dies_and_the_kitchen_is_not_undone() {
    let (stage, place) = mirrored().await;
    let scene = Scene::open_on(stage).await.unwrap();
    let ana = scene.customer(0);
    scene.order_up_to_the_summary(&ana).await;
    scene.daemon.kill().await.unwrap();
    let mut dying = scene.stage.setup.clone().set("LOOPBACK_CRASH", "mirror_written:1").start(LIMIT).await.unwrap();
    scene.stage.network.customer_send(&ana, &scene.conversation.number, "sí").await.unwrap();
    await_death(&mut dying, 0).await;
    let there = place.at(&path("pedidos"));
    let (id, shown) = there.as_object().unwrap().iter().next().unwrap();
    assert_eq!((&shown["id"], &shown["estado"]), (&json!(id), &json!("pendiente")));
    place.set(&path(&format!("pedidos/{id}/estado")), json!("cocinando"));
    scene.stage.wipe_local_data();

    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    await_here(&scene, id, "cocinando").await;
    scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "listo" }))).await;
    await_at(&scene, &place, &format!("pedidos/{id}/estado"), json!("listo")).await;
    let there = place.at(&path("pedidos"));
    assert_eq!(there.as_object().unwrap().len(), 1, "written twice: {there:#}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_or_is_silent_costs_only_the_mirror() {
    let (stage, place) = mirrored().await;
    let scene = Scene::open_on(stage).await.unwrap();
    let ana = scene.customer(0);
    scene.order_up_to_the_summary(&ana).await;
    place.break_with(Some(Fault::Closed));
    scene.talk(&ana, "sí").await;
    let first = scene.orders().await[0]["id"].as_str().unwrap().to_owned();
    place.break_with(Some(Fault::BusyTimes(2)));
    await_at(&scene, &place, &format!("pedidos/{first}/estado"), json!("pendiente")).await;

    // One that cannot be written holds up none after it.
    let second = order(&scene, 1).await;
    await_at(&scene, &place, &format!("pedidos/{second}/estado"), json!("pendiente")).await;
    place.break_with(Some(Fault::Busy));
    for id in [&first, &second] {
        scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;
    }
    let (contested, other) = if first < second { (&first, &second) } else { (&second, &first) };
    place.break_with(Some(Fault::Contested(contested.clone())));
    await_at(&scene, &place, &format!("pedidos/{other}/estado"), json!("cocinando")).await;

    place.break_with(Some(Fault::Silent));
    scene.ok("POST", &format!("orders/{first}/stage"), Some(json!({ "stage": "listo" }))).await;
    assert_eq!(scene.stage.health().await.1["status"], "ok");
    scene.daemon.terminate(LIMIT).await.unwrap();
}
