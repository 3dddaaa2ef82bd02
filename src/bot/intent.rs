//! The subject of a sentence, apart from dishes. Owns the phrases; reads words that the reading has repaired.

mod answers;
mod asides;
mod follow_ups;

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use self::answers::answer;
pub use self::{asides::aside, follow_ups::follow_up};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    Order,
    Greeting,
    Menu,
    Hours,
    Price,
    Status,
    Cancel,
    Human,
    Thanks,
    Address,
    Confirm,
    Deny,
    #[default]
    Other,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of ours")
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| regex($pattern));
    };
}

pattern!(
    HUMAN,
    r"\b(hablar|hablo|hable|comuni(c|q)\w*|pase(me)?|paseme|pasame|pasas|pasan|atiend\w+|atender|contact\w+|ponga(me)?|pongame|ponme|necesito|quiero|hay|llam\w+|transfier\w*)\b.{0,30}\b(alguien|persona|personas|asesor\w*|humano|humana|agente|administrador\w*|encargad[oa]|gerente|duen[oa]|operador\w*|supervisor\w*|ser humano|de verdad|mesero|ejecutiv[oa] de)\b|\b(hablar|hablo|hable|comuni(c|q)\w*|pase(me|nos)?|pasa(me|nos|s|n)?|atiend\w+|contact\w+|ponga(me)?|ponme|llam\w+|transfier\w*)\b.{0,20}\b(con|a|al)( el| la| un| una)? (jefe|jefa|don|dona|senora?|patron|patrona)\b|^(un |una )?(asesor\w*|humano|agente|persona|operador\w*|administrador\w*)( por favor)?$|\b(no|ni) (con )?(un |el )?(robot|bot|maquina)\b|servicio al cliente|\bhablar con\b|\ben persona\b|\b(me|nos) (puede|pueden|puedes) (llamar|atender)\b|\besta (el|la) (duen|administrador|encargad|senor)|\besta .{0,15}\b(duen[oa]|administrador\w*|encargad[oa])\b|\bquien (me )?atiende\b|^la senora .{2,20} esta\b"
);
pattern!(
    FOR_WHOM,
    r"\b(?:para|pa|como para|entre|somos|seremos|alcanza para|rinde para|sirve para)\s+(?:(?:unas|unos|como|el|la|los|las|mi|mis)\s+)*(?:(?:\d+|[a-z]+)\s+(?:o|a|y)\s+)?(?:\d+|un|una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|treinta|varias|muchas|pocas|esas|estas)\s+(?:personas?|adultos|comensales|invitados)\b|\b(?:para|pa|de parte de|a nombre de|donde|casa de)\s+(?:(?:el|la|mi|un|una)\s+)?(?:don|dona|senora?|jefe|jefa|duen[oa]|encargad[oa]|gerente|administrador\w*|supervisor\w*|mesero)\b|\b\d+\s+personas?\b"
);
pattern!(
    CALL_ON_ARRIVAL,
    r"\b(?:(?:me|nos)\s+)?(?:(?:puede|pueden|puedes|podrian?|por favor|porfa)\s+)*(?:(?:me|nos)\s+)?(?:llam(?:ar(?:me|nos)?|an?|as|en(?:me|nos)?|e(?:me|nos)?)|marc(?:ar(?:me)?|an?|a(?:me)?|que(?:n)?(?:me)?)|timbr(?:ar|an?|en?)|pit(?:ar|an?|en?)|avis(?:ar(?:me|nos)?|an?|en(?:me|nos)?|e(?:me|nos)?)|escrib(?:ir(?:me)?|en?(?:me)?|a(?:n|me|nme)?))(?:\s+(?:a|con)\s+(?:(?:don|dona|el|la|senor|senora|mi)\s+)*[a-z]+)?(?:\s+(?:por favor|porfa|al celular|al cel|al numero|a este numero|a ese numero))*\s+(?:al llegar|cuando (?:llegu\w+|est[ea]\w*|vengan?|salga\w*|vayan? (?:a )?llegando)|apenas (?:llegu\w+|est[ea]\w*)|antes de (?:llegar|subir|salir|entregar)|si no (?:estoy|contesto|abro|salgo|abren|contestan|suena)|desde (?:la )?(?:porteria|abajo)|para (?:la entrega|entregar|bajar))"
);
// `déjelo así` accepts the removal.
pattern!(
    TAKES_BACK_REMOVAL,
    r"^(?:\W|y|ay|uy|pues|bueno)*(?:no|nono|mentira|mentiras|espera|espere|perdon|siempre si|mejor|mejor si)\b(?:\W|no|mentira|mentiras|espera|espere|perdon|mejor|si|pues)*(?:dej(?:a|e)l[oa]s?|dejemosl[oa]s?|l[oa]s? (?:quit|borr|cancel|elimin|sac)\w+|l[oa]s? (?:quiero|queremos)|pong[ao]l[oa]s?(?: otra vez| de nuevo)?|devuelv[ae]l[oa]s?)(?: (?:ahi|como estaba|mejor|por favor|porfa|gracias|otra vez|de nuevo|siempre|tambien))*\W*$"
);
pattern!(LACKS, r"\b(?:me|nos) (?:falta|faltan|falto|faltaron|faltaba|faltaban|hace falta|hacen falta|faltarian?)\b");
pattern!(
    ASKS_BOT,
    r"\b(?:eres|es|sos|son|usted es|ustedes son|esto es|este es|sera|hablo con|estoy hablando con|converso con|escribo con|me responde|me atiende|contesta|responde|atiende)\s+(?:tu\s+|usted\s+|con\s+)?(?:(?:de\s+)?(?:un\s+|una\s+|el\s+|la\s+)*(?:bot|robot|chatbot|ia|inteligencia artificial)|(?:un\s+|una\s+|el\s+|la\s+)*(?:maquina|computador\w*|contestador\w*|asistente virtual|automatic\w+|humano|humana|ser humano|persona (?:real|de verdad)|alguien de verdad|real))\b|\b(?:eres|sos|usted es|es usted|hablo con|estoy hablando con|converso con|escribo con|me responde|me atiende|contesta|responde|atiende)\s+(?:tu\s+|usted\s+)?(?:una\s+)?persona\b|\bquien (?:eres|es usted)\b|\bcon quien (?:hablo|estoy hablando|chateo)\b"
);
pattern!(
    PRAISE,
    r"\b(?:soy|somos|es|son) alergic[oa]s? (?:al|a la|a los|a las|a) [a-z]+|\bque (?:bueno|bien|alegria|dicha) que (?:ya )?(?:estan? |siguen )?(?:abrieron|abren|abiert\w+|atienden|atendiendo)\b|\bmi (?:mama|abuela|esposa|esposo|suegra|tia|papa|hermana|hermano|novia|novio|hijo|hija) (?:dice|me dice)(?: que)?\b|\b(?:uy|ay|mm+|uff?|wow)?\s*que (?:rico|rica|ricos|ricas|delicia|delicioso|deliciosa|hambre|antojo|bueno|buena|buenos|buenas|maravilla)(?: (?:esta|estan|estuvo|se ve|se ven|todo|eso))?\b|\b(?:estaba|estaban|estuvo|estuvieron) (?:muy |bien |super |re )?(?:delicios|ric|buen|excelent|espectacular)\w*|\b(?:me|nos) (?:encanto|encantaron|fascino|encanta|encantan)\b|\b(?:buenisim|riquisim|delicios|espectacular)\w*|\bustedes son (?:los|las|unos|muy|lo)(?: (?:mas|mejores|mejor|tesos|tesas|duros|buenos|amables))*"
);
pattern!(
    MEMORY,
    r"\b(?:ayer|antier|anoche|el otro dia|la otra vez|la semana pasada|la ultima vez|la vez pasada)\b(?: (?:pedi|pedimos|comi|comimos|probe|estaba|estaban|estuvo|quedo))?"
);
pattern!(
    WISH,
    r"\b(?:quiero|queremos|quisiera|deseo|necesito|deme|dame|denos|quiere|regal(?:a|e)(?:me|nos)|me (?:da|das|manda|mandas|regala|regalas|trae|traes|envia|envias|pone|pones)|(?:mand|envi)(?:a|e)n?(?:me|nos)|tra(?:iga|igan|e)(?:me|nos)|pong(?:a|an)(?:me|nos)|anot(?:a|e)(?:me|nos))\b"
);
pattern!(
    COMPLAINT,
    r"\b(pesim[oa]|asco|asquer\w+|horrible|terrible|mal servicio|mala atencion|queja\w*|reclam\w*|devolu\w+|devuelv\w+ (el|la|mi) (plata|dinero)|estafa\w*|ladrones|inconform\w*|decepcion\w*|malisim[oa]|feisim[oa]|intoxic\w*|pelo en|cabello en|grosero\w*|equivocad[oa]s?|incomplet[oa]s?)\b|\b(llego|llegaron|trajeron|vino|vinieron|venia|venian|estaba|estaban|mandaron|enviaron|salio|quedo|sabia)\b.{0,40}\b(fri[oa]s?|crud[oa]s?|mal|malo|mala|sin|equivocad\w*|salad[oa]s?|quemad[oa]s?|tarde|incomplet\w*|dur[oa]s?|danad[oa]s?|vinagre|pasad[oa]s?|regad[oa]s?|derramad[oa]s?|abiert[oa]s?|feo|fea|otra cosa|otro|sec[oa]s?|rar[oa]s?|podrid\w+|insipid[oa]s?)\b|\b(me|nos) (falto|faltaron|falta|faltan|hizo falta|cobraron)\b|\b(falto|faltaron|hizo falta|hicieron falta)\b|\bse (les|le|te) (olvid|qued)(o|aron)\b|\b(esta|estan|estaba|estaban|llego|llegaron|vino|vinieron)\b.{0,30}\b(vencid|danad|podrid|mohos|rancid|descompuest|aplastad|revuelt|chorread|destapad)[oa]s?\b|\b(no|nunca) (me )?(mandaron|trajeron|llego|pusieron|echaron|enviaron|incluyeron)\b.{0,30}\b(la|el|los|las|lo)\b|\b(trajeron|mandaron|enviaron)\b.{0,40}\by (yo )?(pedi|era)\b|\b(pedi|pedimos|ordene)\b.{0,40}\b(llego|llegaron|trajeron|mandaron|enviaron)\b"
);
pattern!(
    WRONG_DISH,
    r"\b(no (es|era|fue|son|eran) (lo|la|el|los|las) que (yo )?(pedi|pedimos|ordene|encargue)|(mandaron|trajeron|llego|enviaron|dieron) (lo|la|el|los|las) que no|(otra|diferente|distint[oa]) (cosa|a lo) que (pedi|pedimos)|cambiad[oa]s? el pedido|pedido (equivocado|incompleto|cambiado|mal))\b"
);
pattern!(
    STATUS,
    r"\b(mi|el|nuestro) (pedido|orden|domicilio|encargo)\b.{0,30}\b(viene|va|llega|salio|sale|esta|listo|tarda|demora\w*|falta|sigue|anda|paso|quedo|lleva)\b|\b(ya|donde|cuanto|como|en que|sera que|todavia|aun|cuando|por donde|que)\b.{0,30}\b(mi|el|la|nuestro|lo de) ?(pedido|orden|domicilio|encargo|domiciliario|repartidor|moto|motorizado|mensajero)\b|\b(domiciliario|repartidor|motorizado|mensajero)\b|\bno (me )?(ha|han|lleg\w+)\b.{0,25}\b(llegado|pedido|orden|domicilio|nada|mandado|traido|entregado)\b|\b(todavia|aun|nada que|sigo|seguimos|llevo|llevamos|sigue)\b.{0,30}\b(no (me )?(llega|han|ha)|lleg\w+|esperando|sin llegar|espera)\b|\bcuanto (le )?(falta|demora|tarda|se demora|se tarda|mas)\b|\b(lo|la|los|las|el|las) que (pedi|pedimos|encargue|ordene)\b|\bhace .{0,25}(pedi|pedimos|hice|ordene|encargue)\b|\b(pedi|pedimos|ordene|encargue)\b.{0,40}\bhace (un|una|mas|como|media|rato|ratico|horas?|\d+|\w+ (horas?|minutos?))\b|^(hola|buenas|disculpe|oye|y|que|paso|con|,| )*\b(mi|nuestro) (pedido|mandado|encargo|orden|domicilio|domi|comida|almuerzo|cena|desayuno)( \?)*$|\b(pedi|pedimos|ordene|encargue) hace\b|\bya (mandaron|enviaron|despacharon|salieron|llegan|trajeron)\b|\bya (viene|vienen|va|salio|esta listo|casi|llega|lo mandaron|lo enviaron|despacharon)\b|\bya esta\b.{0,12}\b(mi|el|la|lo)\b|\bestado (de|del)\b|\b(rastre|segu)\w* (de|del|mi) pedido\b|\ben que va\b|\bnada que llega\w*\b|\bdonde (viene|va|vienen|esta) (mi|el|la|lo)\b|\bcuanto se demora\w*\b|\bque paso con (mi|el|la|lo)\b|\bdemorad[oa]\b"
);
pattern!(
    HOURS,
    r"\b(horario|horarios)\b|\b(a|hasta|desde|en) (que|q|cual) horas?\b|\b(que|q) horas? (abren|cierran|atienden|es el)\b|\b(abren|abierto|abiertos|abierta|abrieron|abriran|abrio|cierran|cerrado|cerrados|cerraron|atienden|atendiendo|atencion|laboran|trabajan|estan en servicio)\b|\bhasta (cuando|q horas?|que horas?|las cuantas|tarde)\b|\bdesde que hora\b|\b(abre|abrir|cierra) (hoy|manana|el|los|a|ya)\b|\bsiguen? (abiertos|atendiendo)\b|\bhay servicio (hoy|ahora|los)\b|\bque dias\b"
);
pattern!(
    PRICE,
    r"\b(cuanto|cuantos|qto|cto|cuantico)\b.{0,30}\b(vale|valen|cuesta|cuestan|es|son|sale|salen|cobra|cobran|seria|quedaria|queda|esta|estan|por|suma|total|debo|da|pago|me sale|tienen|plata|saldria|costaria|valdria|cae|va)\b|\b(que|en que) (precio|precios|valor|costo|vale|valen|cuesta|cuestan)\b|\b(precio|precios|costo|cotiza\w*|cotizacion)\b|\bvalor\b|\ba (como|cuanto|cuantos)\b|\ben cuanto\b|\bque (vale|valen|cuesta|cuestan|precio)\b|\bcuanto (la|el|las|los|un|una|x|por|es)\b|\bdescuento\b|\bcuanto\?$|^cuanto$|\b(vale|cuesta) (cuanto|mas)\b|\bes (muy )?car[oa]\b"
);
pattern!(
    MENU,
    r"\b(menu|carta|catalogo|la lista de)\b|\bq(ue)? (tienen|tiene|hay|venden|ofrecen|manejan|vende|sabores|opciones|me (ofrecen?|recomienda\w*)|otr[oa]s?|trae|traen|lleva|llevan|contiene|incluye|viene|vienen|sopas?|jugos?|bebidas?|gaseosas?|cervezas?|postres?|platos?|combos?|promos?|promociones|pizzas?|hamburguesas?|perros?|carnes?|tamanos?|acompanamientos?|adiciones|desayunos?|almuerzos?|especialidad\w*|preparan|hacen|marcas?|helados?|tipos?|ingredientes|cosas?|cervezas?|vinos?|hay)\b|\bq(ue)? \w+ (tienen|tiene|hay|venden|manejan|ofrecen|me recomiend\w+|traen)\b|\brecomiend\w+|\brecomendacion\w*|\bde que (es|son|sabores?|sabor|estan?|viene\w*|hay|tienen)\b|\bcual(es)? (es|son|hay|tienen|\w+ (me )?recomiend\w+|pizza|de las|de los|son las|es la|es el)\b|\bpara cuant[oa]s\b|\bcuant[oa]s (porciones|personas|pedazos|unidades|trae|traen|vienen|presas|alitas|tajadas|gramos|slices|rebanadas|sabores|vienen)\b|\bque tan (grande|picante)\b|\b(vegetarian|vegan)[oa]s?\b.*\?|\bcomo (es|son|viene|vienen|preparan|hacen) (la|el|las|los|un|una)\b|\bpromo(ciones|s|cion)?( \w+)? (hay|tienen|de hoy)\b"
);
pattern!(
    ASKS_DISH,
    r"^(y |hola |buenas |disculpe |oye |oiga |buenas tardes |buenas noches |buenos dias |una pregunta |pregunta |que onda |que mas |q mas |buen dia |señor |amigo |, )*(tienen|tiene|hay|manejan|venden|hacen|ofrecen|preparan|les queda|les quedan|queda|quedan|todavia (tienen|hay|queda)|aun (tienen|hay|queda)|sera que (tienen|hay))\b|\b(saber|preguntar(le|les)?|consultar(le|les)?|decirme|averiguar|dices|dice) si (aun |todavia )?(tienen|tiene|hay|venden|manejan|hacen|queda)\b|\b(trae|traen|lleva|llevan|viene con|vienen con|viene|vienen|incluye|incluyen|contiene|contienen|tiene|es con|son con|es picante|es dulce|es grande|es muy|pica|sirve para|alcanza para|es de|son de)\b.{0,40}\?"
);
pattern!(
    COMMENT,
    r"\b(estaba|estaban|estuvo|estuvieron|estubo) (muy |bien |super |re )?(delicios|ric|buen|excelent|espectacular|bien|list)\w*|\b(encanto|encantaron|fascino|amo|amamos|encanta|encantan)\b|\bque (rico|rica|ricos|ricas|delicia|bueno|buena|buenos|buenas|asco|deli|maravilla)\b|\bno me gust\w+|\bsoy alergic[oa]\b|\bson alergic[oa]s?\b|\bes alergic[oa]\b|\balergia\b|\bmi (mama|abuela|esposa|esposo|suegra|tia|papa|hermana|perro|gato|novia|novio|hijo|hija) (hace|hacia|prepara|esta|es|cocina|tiene|dice|vende)\b|\b(vi|vimos|vio) (en|que|la|el|su|sus)\b|\b(ayer|antier|anoche|el otro dia|la otra vez|la semana pasada|la ultima vez|el domingo|el sabado|la vez pasada|el mes pasado)\b|\b(manana|luego|mas tarde|despues|otro dia|la proxima|mas ratico|en un rato) (les|le|te|los|la|lo)? ?(escribo|pido|llamo|aviso|confirmo|hablo|digo|pedimos|compro)\b|\b(huele|olia)\b|\bustedes (son|venden|quedan|estan)\b|\bson (los|las|ustedes) (de|del|los)\b|\b(buenisim|riquisim|delicios|espectacular)\w*\b|\bya (comi|almorce|pedi|cene|desayune|compre)\b|\bacab(o|amos) de (pedir|comer|almorzar|recibir)\b|\b(jamas|nunca) (he|habia|habiamos|pedi)\b|\bestoy a dieta\b|\bno (puedo|como|comemos|consumo) (\w+ )?(carne|gluten|lactosa|cerdo|huevo|pollo|picante|comer)\b|\breserv\w*|\bme acorde\b|\bextra(no|namos) (la|el|las|los|sus)\b|\bsonaba\b|\b(tengo|tenia|tenemos) (un|una|dos) (perro|gato|hijo|hija|nino|nina|bebe|reunion|duda|pregunta)\b"
);
pattern!(
    SAME_AGAIN,
    r"\b(lo mismo|lo (mismo )?de (siempre|la (vez|otra)|ayer|la ultima|costumbre|la semana|antes|antier|anoche)|igual que (ayer|la|siempre|el)|(repit\w+|repet\w+) (el|lo|mi|la|por favor|porfa)?|mismo pedido|pedido (anterior|pasado)|ultimo pedido|la misma orden|el de siempre|el mismo de)\b"
);
pattern!(REMEMBERS, r"\b(llego|llegaron|estaba|estaban|estuvo|estuvieron|gusto|encanto|quedo|quedaron|fue|fueron)\b");
pattern!(
    CANCEL,
    r"\b(cancel\w+|anul\w+)\b|\b(ya )?no (quiero|queremos|deseo|voy a querer|me (mande|traiga|envie)\w*) (ya )?(nada|el pedido|la orden|mas el pedido|ese pedido|pedir|hacer el pedido|ningun pedido)\b|\bno va mas\b|\bya no (lo|la|los|las)? ?(quiero|queremos|deseo|necesito|va|vamos|voy)\b( el pedido| nada| pedir)?$|\bdej(e|a|emos)(lo|moslo)? (asi|de ese tamano)\b.{0,12}\bno\b|\b(olvid\w+) (el|del|todo|lo|la orden|mi)( pedido)?\b$|\b(borr\w+|elimin\w+|quit\w+) (todo|el pedido|la orden|mi pedido)\b|\b(empe\w+|comen\w+|inici\w+) de (nuevo|cero)\b|\bmejor (ya )?no( gracias| pido nada| pido| pidamos)?$|\bno (lo |la )?(manden|envien|traigan|despachen|preparen|hagan)( el pedido| la orden| nada)?$|\bme arrepenti\b|\bolvidalo\b|\bya no gracias$"
);
pattern!(
    THANKS,
    r"\b(gracias|grax|thanks|thank you|agradezco|agradecid[oa]s?|muy amables?|dios (le|les|te|los) (pague|bendiga)|bendiciones|mil y mil|se le agradece|thx|tks|que amables?)\b"
);
pattern!(
    GREETING,
    r"^(\W|hola|ola|alo|aloo|holi|holis|hey|ey|hello|hi|buenas|buenos|buen|muy|muchas|dia|dias|tarde|tardes|tardecitas|noche|noches|saludos|cordial|saludo|que|q|mas|tal|hubo|quiubo|quihubo|como|esta|estan|estas|le|va|vas|van|les|te|todo|bien|parce|parcero|amigo|amigos|amiga|vecin\w+|veci|senor\w*|don|dona|sumerce|che|oye|oiga|bendiciones|feliz|buena|onda|pues|por|alla|familia|gente|y|a|todos|espero|esten|este|muy|jefe|jefa|patron|mijo|parceros|disculpe|disculpa|disculpen|perdone|una|pregunta|alguien|ahi|rosa|equipo|restaurante|me|atiende|pa|xd)+$"
);
pattern!(
    OTHER_TOPIC,
    r"\b(reciben?|aceptan?|domicilios?|envios?|parqueadero|parqueo|ubicad[oa]s?|ubicacion|direccion|donde (queda|quedan|estan|es|son)|reserva\w*|mesa para|wifi|mascotas|factura\w*|empleo|trabajo|vacante\w*|propina|nequi|llegan (a|hasta)|hacen (fiestas|eventos|domicilios?)|me llamo|mi nombre|mi numero|mi cel\w*|soy \w+)\b"
);
pattern!(
    WANTS_TO_ORDER,
    r"\b(hacer|realizar|pasar|montar|tomar|encargar) (un|una|mi|el|otro|otra|un nuevo|una nueva) (pedido|orden|domicilio|encargo)\b|^(hola |buenas |buenas tardes |buenas noches |buenos dias )?(,? ?)(quiero|quisiera|para|deseo|necesito|voy a) (pedir|ordenar|un domicilio|otro pedido|otra orden|un nuevo pedido|un pedido nuevo|un pedido aparte)( a domicilio| un domicilio| algo| por favor)?$"
);
pattern!(
    COMMAND,
    r"\b(quiero|queremos|quisiera|quisieramos|necesito|necesitamos|deseo|regal\w+|deme|dame|denos|da|das|mand\w+|envi\w+|traig\w+|traer|traes|trae(me|nos)|pon(ga|gan|e|es|me|le)?\w*|pedir|pido|orden(ar|o)|encarg\w+|prepar\w+|apunt\w+|anot\w+|guard\w+|sirv\w+|vend(a|e)me|colabor\w+|agreg\w+|sum(a|e|ar|ale|ele|ame|eme)|anad\w+|adicion(a|e|ar|ame|eme|ale|ele)\w*|para (pedir|encargar|ordenar)|me (manda|das|da|trae|pone|pones|regala|antoj\w+|provoc\w+|gustaria|llevo)|voy a (querer|pedir|llevar)|ponle|llevo|hagame|tomar)\b"
);

/// The words of a sentence joined by blanks, with `?` where it has one.
pub fn is_command(words: &str) -> bool {
    COMMAND.is_match(words)
}

pub fn asks_same_again(words: &str) -> bool {
    SAME_AGAIN.is_match(words) && !REMEMBERS.is_match(words)
}

pub fn cancels(words: &str) -> bool {
    CANCEL.is_match(words)
}

/// Something was wrong with what came.
pub fn complains(words: &str) -> bool {
    COMPLAINT.is_match(words) || WRONG_DISH.is_match(words)
}

/// The place at which the price is asked for, so that an order before it still counts.
pub fn price_question(words: &str) -> Option<usize> {
    PRICE.find(words).map(|found| found.start())
}

/// A person is asked for; for whom the food is, and whom the courier calls, is another matter.
fn wants_human(words: &str) -> bool {
    if !HUMAN.is_match(words) {
        return false;
    }
    let rest = FOR_WHOM.replace_all(words, " ");
    let rest = CALL_ON_ARRIVAL.replace_all(&rest, " ");
    HUMAN.is_match(&rest)
}

/// `eres un bot?`
pub fn asks_bot(words: &str, is_question: bool) -> bool {
    let is_asked =
        is_question || words.starts_with("eres ") || words.starts_with("sos ") || words.contains("hablo con un");
    let refuses = words.contains("quiero") || words.contains("necesito") || words.contains("prefiero");
    is_asked && !refuses && ASKS_BOT.is_match(words)
}

/// `me llaman al llegar`: the place of a word to the courier.
pub fn call_on_arrival(words: &str) -> Option<std::ops::Range<usize>> {
    CALL_ON_ARRIVAL.find(words).map(|found| found.range())
}

/// `no, mentira, déjelo`, behind a message that took something out.
pub fn takes_back_removal(words: &str) -> bool {
    TAKES_BACK_REMOVAL.is_match(words)
}

/// `nos faltan dos`: of an order that is being made, they are wanted.
pub fn lacks(words: &str) -> bool {
    LACKS.is_match(words)
}

/// `qué rico, mándeme dos`: where praise and memories end, if nothing else makes the sentence a comment. Behind a memory, a number is no
/// wish.
pub fn behind_praise(words: &str) -> Option<usize> {
    let praise = PRAISE.find_iter(words).last().map(|found| found.end());
    let memory = MEMORY.find_iter(words).last().map(|found| found.end());
    let end = praise.max(memory)?;
    let rest = PRAISE.replace_all(words, " ");
    let rest = MEMORY.replace_all(&rest, " ");
    let is_order = topic(&rest, false).is_none() && (memory.is_none() || WISH.is_match(&words[end..]));
    is_order.then_some(end)
}

/// `un tamal, ¿eres un bot?`: the place of the question.
pub fn bot_question(words: &str) -> Option<usize> {
    ASKS_BOT.find(words).map(|found| found.start())
}

/// Topics that make a sentence no order, whatever dishes it names.
pub fn topic(words: &str, is_question: bool) -> Option<Intent> {
    if asks_bot(words, is_question) {
        return Some(Intent::Other);
    }
    if wants_human(words) {
        return Some(Intent::Human);
    }
    if PRICE.is_match(words) && !words.contains("confirm") {
        return Some(Intent::Price);
    }
    if WRONG_DISH.is_match(words) {
        return Some(Intent::Human);
    }
    if STATUS.is_match(words) {
        return Some(Intent::Status);
    }
    if COMPLAINT.is_match(words) {
        return Some(Intent::Human);
    }
    if HOURS.is_match(words) && !words.contains("prepar") {
        return Some(Intent::Hours);
    }
    if asks_same_again(words) {
        return None;
    }
    if COMMENT.is_match(words) {
        return Some(if THANKS.is_match(words) { Intent::Thanks } else { Intent::Other });
    }
    if MENU.is_match(words) && (is_question || !words.contains("menu del dia")) {
        return Some(Intent::Menu);
    }
    if ASKS_DISH.is_match(words) && !OTHER_TOPIC.is_match(words) {
        return Some(Intent::Menu);
    }
    None
}

/// The intent of a sentence that names no dish.
pub fn talk(words: &str) -> Option<Intent> {
    let plain = words.trim_matches(|c: char| !c.is_alphanumeric());
    if cancels(plain) {
        return Some(Intent::Cancel);
    }
    if let Some(answer) = answer(plain) {
        return Some(answer);
    }
    if !plain.is_empty() && GREETING.is_match(plain) {
        return Some(Intent::Greeting);
    }
    if THANKS.is_match(plain) {
        return Some(Intent::Thanks);
    }
    None
}

/// `quiero hacer un pedido`: no dish yet.
pub fn wants_to_order(words: &str) -> bool {
    WANTS_TO_ORDER.is_match(words.trim())
}

/// The subject of a sentence without a dish and without talk.
pub fn remainder(words: &str, is_question: bool) -> Intent {
    // `me regala el menú del día`, which is no dish here.
    if is_question && ASKS_DISH.is_match(words) && !OTHER_TOPIC.is_match(words) || words.contains("menu del dia") {
        return Intent::Menu;
    }
    Intent::Other
}

#[cfg(test)]
mod tests {
    use super::{Intent, talk, topic};

    #[test]
    fn yes_and_no() {
        for text in ["si , asi", "si senora", "ok", "dale , listo", "eso es todo", "nada mas"] {
            assert_eq!(talk(text), Some(Intent::Confirm), "{text}");
        }
        for text in ["no", "no senora", "todavia no", "no gracias", "para nada"] {
            assert_eq!(talk(text), Some(Intent::Deny), "{text}");
        }
    }

    #[test]
    fn a_person_is_asked_for_and_not_fed() {
        for text in [
            "quiero hablar con una persona",
            "me comunica con don carlos",
            "hay alguien que me atienda ?",
            "no quiero hablar con un bot",
            "paseme a la duena",
            "me pueden llamar",
            "necesito hablar con el senor",
        ] {
            assert_eq!(topic(text, text.contains('?')), Some(Intent::Human), "{text}");
        }
        for text in [
            "necesito comida para 5 personas",
            "quiero 2 tamales para dos personas",
            "quiero comida para 5 o 6 personas",
            "quiero dos tamales para don carlos",
            "quiero dos tamales don carlos",
            "pasame dos tamales jefe",
            "quiero dos tamales para la senora rosa",
            "necesito dos tamales para el encargado",
            "me pueden llamar al llegar",
            "quiero un tamal y me pueden llamar cuando lleguen",
        ] {
            assert_eq!(topic(text, false), None, "{text}");
        }
        for text in ["eres un bot ?", "es un robot ?", "hablo con una persona ?", "usted es humano ?", "eres un bot"] {
            assert_eq!(topic(text, text.contains('?')), Some(Intent::Other), "{text}");
        }
    }

    #[test]
    fn questions_and_complaints_name_dishes_without_ordering() {
        assert_eq!(topic("en cuanto esta la burger ?", true), Some(Intent::Price));
        assert_eq!(topic("todavia no llega la trucha que pedi", false), Some(Intent::Status));
        assert_eq!(topic("la ultima vez la picada llego fria", false), Some(Intent::Human));
        assert_eq!(topic("quiero dos burgers", false), None);
    }
}
