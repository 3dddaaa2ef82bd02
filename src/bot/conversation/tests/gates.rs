//! Doors that are shut: hours, switches, suspension.

use super::{Chat, ordering::play, settings};
use crate::bot::restaurant::{BusinessHours, DayHours, RestaurantSettings, Unavailability};

fn weekdays() -> BusinessHours {
    let hours = DayHours { active: true, open: "11:00".into(), close: "22:00".into() };
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    BusinessHours {
        enabled: true,
        timezone: "America/Bogota".into(),
        schedule: days.into_iter().map(|day| (day.to_owned(), hours.clone())).collect(),
        exceptions: Default::default(),
    }
}

#[test]
fn a_closed_restaurant_says_when_it_opens_once_a_day() {
    let mut chat = Chat::with(RestaurantSettings { business_hours: Some(weekdays()), ..settings() });
    play(&mut chat, &[("a qué hora cierran?", &["de 11:00 a 22:00"])]);
    // Friday, 23:00.
    chat.now = "2026-11-28T04:00:00Z".parse().unwrap();
    play(&mut chat, &[("un pollo asado entero", &["estamos cerrados", "mañana a las 11:00"])]);
    assert_eq!(chat.say("hola?"), "");
    // Who asks for the hours is told again.
    play(&mut chat, &[("a qué hora abren?", &["estamos cerrados", "mañana a las 11:00"])]);
    assert_eq!(chat.say("un pollo asado entero"), "");
    // Saturday night: Sunday is closed.
    chat.now = "2026-11-29T04:00:00Z".parse().unwrap();
    play(&mut chat, &[("hola", &["el lunes a las 11:00"])]);
    // Monday, 12:00.
    chat.now = "2026-11-30T17:00:00Z".parse().unwrap();
    play(&mut chat, &[("hola", &["Le damos la bienvenida"])]);
    // A holiday.
    let off = DayHours { active: false, open: String::new(), close: String::new() };
    chat.restaurant.settings.business_hours.as_mut().unwrap().exceptions.insert("2026-12-01".into(), off);
    chat.now = "2026-12-01T17:00:00Z".parse().unwrap();
    play(&mut chat, &[("hola", &["estamos cerrados", "mañana a las 11:00"])]);
}

#[test]
fn an_order_under_way_is_told_of_behind_closed_doors() {
    let mut chat = Chat::with(RestaurantSettings { business_hours: Some(weekdays()), ..settings() });
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("recoger", &[]), ("sí", &[]), ("1", &[]), ("sí", &["confirmado"])],
    );
    chat.now = "2026-11-28T04:00:00Z".parse().unwrap();
    play(&mut chat, &[("cómo va mi pedido?", &["en espera de la cocina"]), ("una salchipapa", &["cerrados"])]);
    assert!(chat.basket().is_empty());
}

#[test]
fn each_shut_door_behaves_as_it_is_set() {
    for behaviour in [Unavailability::Silent, Unavailability::Text] {
        let texts = usize::from(behaviour == Unavailability::Text);
        let off = RestaurantSettings { active: false, when_off: behaviour, ..settings() };
        let suspended = RestaurantSettings { suspended: true, when_suspended: behaviour, ..settings() };
        let mut hours = weekdays();
        hours.schedule.clear();
        let never = DayHours { active: false, open: String::new(), close: String::new() };
        hours.schedule.insert("monday".into(), never);
        let closed = RestaurantSettings { business_hours: Some(hours), when_closed: behaviour, ..settings() };
        for settings in [off, suspended, closed] {
            let mut chat = Chat::with(settings);
            let answers = ["hola", "un pollo", "menú"].iter().filter(|said| !chat.say(said).is_empty()).count();
            assert_eq!(answers, texts);
            chat.pass(24 * 60);
            assert_eq!(usize::from(!chat.say("hola").is_empty()), texts, "the next day");
        }
    }
}
