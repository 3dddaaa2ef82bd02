use super::Chat;
#[test]
fn print() {
    let scripts: &[&[&str]] = &[
        &[
            "hola",
            "menú",
            "2 del 4",
            "una hamburguesa",
            "la 2",
            "3",
            "eso es todo",
            "1",
            "Calle 10 # 20-30 apto 301",
            "sí",
            "2",
            "sí",
            "cómo va mi pedido",
            "cancelar",
            "sí",
            "gracias",
            "ok",
        ],
        &[
            "buenas, me regala dos hamburguesas sencillas una sin cebolla y una coca de litro y medio para la cra 5 # 12-34, pago en efectivo",
            "sí",
            "si",
            "lo mismo de la vez pasada",
            "listo",
            "sí",
            "si",
            "efectivo",
            "si",
        ],
        &[
            "quiero un sushi y una amburguesa dolbe",
            "cuanto vale la limonada de coco?",
            "qué bebidas tienen?",
            "bebidas",
            "tienen brownie?",
            "un brownie con helado",
            "dame una cerveza",
            "ninguna",
            "ver",
            "eliminar 1",
            "hacen domicilios?",
            "reciben nequi?",
            "a qué hora cierran?",
        ],
        &[
            "un pollo asado entero",
            "listo",
            "recoger",
            "sí",
            "nequi",
            "el timbre no sirve",
            "sí gracias que sea bien asado",
            "estado",
            "cancelar",
        ],
        &[
            "2 pollos",
            "2",
            "5",
            "no",
            "domicilio",
            "al lado de la iglesia",
            "al lado de la iglesia, casa verde",
            "3005556677",
            "tarjeta",
            "1",
            "no",
            "quite un pollo",
            "listo",
            "sí",
        ],
        &["hola", "bla bla bla", "asdf qwer", "zzz yyy"],
        &["hola", "quiero hablar con alguien", "hola?"],
    ];
    for script in scripts {
        let mut chat = Chat::new();
        println!("=================");
        for text in *script {
            let reply = chat.say(text);
            println!(
                "> {text}\n{reply}\n   [{:?}] {}",
                chat.talk.phase(),
                if chat.called_owner() { "CALL" } else { "" }
            );
        }
    }
}
