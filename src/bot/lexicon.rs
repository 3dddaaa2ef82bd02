//! Everyday Spanish of an order. Owns the word lists; knows no menu. Words here are never taken for a misspelt dish,
//! nor for a dish that the restaurant has not.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use super::text::sound;

/// Words that join others.
const CONNECTORS: &str = "\
    a al con de del e el en la las lo los o para pa por pues que sin u un una unos unas uno y ni como si no mas \
    pero mi mis tu tus su sus me te le les se nos sino este esta estos estas ese esa esos esas aquel aquella eso esto";

/// Verbs, courtesies, talk. Their forms are listed since a stem would catch dishes.
const TALK: &str = "\
    cuarto cuartos todavia trajeron mandaron enviaron pusieron echaron comuniqueme comunicame comunicar escribo \
    escribe escribes aun asesor humano agente administrador encargado reclamo queja ubicacion aceptan reciben hola \
    ola alo buenas buenos buen buena bueno dia dias tarde tardes noche noches saludos hey ey oe oye oiga mira mire \
    vea ve quiubo parce parcero parcera amigo amiga vecino vecina veci vecinito vecinita vecinos don dona senor \
    senora senorita sumerce che hermano mano jefe jefa patron mijo mija amor reina rey favor porfa porfis porfavor \
    porfi favorcito fa fis plis please gracias mil muchas muchisimas muy amable disculpa disculpe perdon perdona \
    perdone quiero queremos quisiera quisieramos quiere quieren querer queria gustaria necesito necesitamos \
    necesita deseo deseamos desearia regala regalas regale regaleme regalame regalan da das dan dar dame deme \
    denos danos manda mandas mande mandan mandame mandeme mandenme mandenos mandanos mandar enviar envia envias \
    envie envian enviame envieme envienme envienos envianos trae traes traiga traeme traigame traigan traiganme \
    traenos traer pon pone pones ponga pongan ponme poneme ponle ponele pongale ponerle poner pongame ponganme \
    pedir pido pedirle pedirles pida pedi pedimos ordenar ordeno orden encargar encargo encargarle solicitar \
    solicito tomar tomo comer llevar llevo lleve llevan comprar compro hacer hace haces hagame hagan hacen haga \
    prepara prepare preparen prepareme preparame preparar apunta apunte apunteme apuntame anota anote anoteme \
    anotame guarda guarde guardame guardeme sirve sirva sirvame vende vendes venda vendame vendeme colabora \
    colabore colaboras colaboreme colaborame ayuda ayude ayudame ayudeme puede puedes pueden podria podrias \
    podrian podemos poder puedo voy va van vamos ir ser sea sean seria serian sera seran es son era eran fue esta \
    estan estaba estaban estoy estuvo tener tengo tiene tienen tenga tengan hay haya habra antoje antojo antoja \
    antojaron provoca provoco agrega agregue agregale agreguele agregame agregueme agregar agreguen agregan suma \
    sume sumale sumele sumame sumeme anade anada anadele anadir adiciona adicione adicioname adicionele adicionar \
    incluye incluya incluir tambien ademas aparte otra otro otras otros igual iguales mismo misma mismos mismas \
    quita quite quitale quitele quitame quiteme quitar quitan quiten quitenle quitarle elimina elimine eliminar \
    eliminame borra borre borrar borrame saca saque sacale saquele sacar sacame saqueme retira retire retirar \
    olvida olvide olvidate olvidese olvidalo descarta descarte cancela cancele cancelar cancelo cancelalo \
    cancelemos cancelen anula anule anular anulen cambia cambie cambiar cambiame cambieme cambiala cambiela \
    cambialo cambielo cambialas cambielas cambialos cambielos cambio cambiando cambiarla cambiarlo cambiarle \
    cambiarme reemplaza reemplace reemplazar vez lugar mejor peor digo dije dijo corrijo correccion mentira \
    mentiras espera espere esperate esperen momento momentico segundo equivoque equivocacion solo solamente sola \
    solos solas unicamente nada todo toda todos todas tod ambas ambos cada resto demas mitad mitades par docena \
    docenas decena decenas medio media medias primera primero segunda tercera ultima ultimo ahora ya hoy manana \
    ayer luego despues antes siempre nunca tampoco aqui aca alla ahi donde cuando cuanto cuanta cuantos cuantas \
    cual cuales quien quienes porque entonces asi tal vale listo lista ok okey okay dale de claro correcto \
    correcta exacto exactamente confirmo confirmado confirmada confirmar confirma perfecto perfecta sip nop nel \
    negativo afirmativo obvio hagale hagamosle sisas sale genial excelente super rico rica ricos ricas delicioso \
    deliciosa rapido rapida rapidito pronto urgente jaja jajaja jajajaja jeje jejeje xd pedido pedidos domicilio \
    domicilios domi entrega envio direccion casa apartamento apto edificio torre piso barrio calle carrera pago \
    pagar pagamos pagare pague efectivo nequi daviplata transferencia tarjeta datafono bancolombia contra vueltas \
    vuelto devuelta billete plata cuenta total valor precio precios costo cuesta cuestan valen cobran cobra hora \
    horas horario minuto minutos personas persona gente familia esposo esposa marido mujer mama papa hijo hija \
    hijos hermana nino nina ninos novia novio amigos suegra abuela abuelo nosotros ellos ella el yo vos usted \
    ustedes nombre llamo mesa porcion porciones unidad unidades plato platos vaso vasos botella botellas lata \
    latas caja cajas bolsa bolsas taza tazas racion raciones pieza piezas combos ordenes cosa cosas cosita adicion \
    adicional adicionales extra doble dobles poco poca poquito poquita mucho mucha harto harta bastante bien menos \
    tipo clase sabor sabores tamano tamanos menu carta foto fotos promo promocion promociones descuento grande \
    grandes pequeno pequena pequenos pequenas mediano mediana medianos medianas personal personales familiar \
    familiares chico chica chiquito chiquita mini beber almorzar cenar desayunar cena comida traigo vienen viene \
    venga vengan venir viniera vuelve vuelva repita repite repetir repitame repiteme repetime pasada pasado \
    anterior costumbre deja deje dejelo dejalo dejame dejeme dejemos dejar dejan subale subele bajele bajale suba \
    sube baje lleva quedo queda quede quedan gusta gustan gusto trate hasta desde entre sobre alguien algo alguno \
    alguna algun ningun ninguna ninguno nadie mientras tanto cuidado feliz navidad maravilla saber sabe sabes sepa \
    cuenteme cuentame dime digame diganme dices dice decir pregunta preguntar preguntarle consulta duda \
    informacion info servicio tarda demora demoran demorado demorada llega llego llegan llegaron llegar esperando \
    falta salir salio sali puerta recoger recojo paso pasar pasas pase paseme pasame pasan buscar vivo vivimos \
    quedamos estamos aproximadamente maximo minimo mas tan fria frio frias frios caliente calientes aproveche \
    bendiciones dios deberia deben hablo habla hablar atiende atienden veras veran viendo ver vi vimos visto \
    cierto verdad seguro segura listos quedaria quedariamos empezar empecemos nuevo nueva somos soy numero celular \
    telefono contacto cel tel whatsapp porfavorcito porfavorsito encima debajo adentro afuera lado parte okis yes \
    not uy ay ah eh oh mmm ehh este pues osea lunes martes miercoles jueves viernes sabado domingo fin semana mes \
    ano rato ratico ratito ojala apenas recien casi hp x xq q k d pa ps tqm bn tb tmb aja ajá sii see sep simon \
    pasa pasaria colaboracion atento atenta pendiente cliente clientes local tienda restaurante negocio sitio sede \
    paquete paquetes restale restele restame resteme regada regadas regado regados vencida vencidas vencido vencidos falto faltaron mandado abrieron \
    libra libras abierto abiertos abren abre cerrado cerrados cierran cierra cerraron chao adios nos vemos bye listico gracie \
    abrazo abrazos filo hambre afan prisa sed ganas tiempo urgencia problema problemas demora robot bot humano humana \
    agradezco agradecido recomienda recomiendan recomendaciones recomiendas excepto salvo guey wey basta bastan suficiente \
    felicitaciones felicito consigne transferi comprobante video videos imagen proveedor debe debian debiendo \
    alergico alergica mandelo mandalo mandela envielo enviela dele";

/// Ways in which food is prepared and served.
const PREPARATIONS: &str = "\
    asada asado asadas asados cocida cocido cocidas cocidos frito frita fritos fritas tostado tostada tostados \
    tostadas dorado dorada dorados doradas doradito doradita crocante crocantes crujiente crujientes picante \
    picantes cargado cargada cargados cargadas oscuro oscura clarito clarita claro suave suaves fuerte dulce \
    dulces salado salada jugoso jugosa jugosas jugosos partido partida partidos partidas picado picada cortado \
    cortada cortados cortadas delgada delgado gruesa grueso entero entera enteros integral light zero cero \
    dietetica dieta descremada deslactosada helado helada heladas helados fria frio frias frios caliente calientes \
    calientico calientica tibio tibia quemado quemada quemadita vegana vegano gratinado gratinada termino azul \
    blando blanda blandito duro dura maduro verde desmechado desmechada molida molido triturado licuado espeso \
    espesa ralo rala simple natural naturales seco seca sudado apanado apanada separado separada separados \
    separadas fresco fresca aparte friito friita bajito alto empacado empacada abierto crudo cruda rapidito \
    livianito diet sencillo descafeinado descafeinada deslactosado endulzado agrandado agrandada";

/// Things that food is made of, or comes with.
const INGREDIENTS: &str = "\
    cebolla cebollas tomate tomates lechuga lechugas queso quesos salsa salsas tocineta tocino bacon pepinillo \
    pepinillos pepino mayonesa mostaza ketchup catsup aji picante azucar panela hielo sal pimienta arroz ensalada \
    ensaladas papa papas platano maduro maduros patacon patacones arepa arepas huevo huevos aguacate guacamole \
    champinon champinones hongos pina jamon maiz cilantro perejil limon limones crema leche pan verduras verdura \
    vegetales raices carne carnes pollo cerdo res chorizo salchicha chicharron frijol frijoles frisoles lentejas \
    yuca hogao guiso suero ripio ajo oregano albahaca aceitunas aceituna pimenton zanahoria apio alcaparras \
    crutones aderezo vinagreta chimichurri piel hueso grasa espinas cascara pulpa canela chocolate arequipe \
    bocadillo miel mani nueces coco vinagre soya soja wasabi jengibre curry mariscos camarones camaron pescado \
    atun anchoas salami pepperoni parmesano mozzarella servilletas servilleta cubiertos cubierto pitillo pitillos \
    vaso bolsa tenedor cuchara gas cafeina alcohol gluten lactosa sopa principio seco bebida borde masa cuajada \
    tostadas jalapeno jalapenos remolacha repollo habichuela garbanzo espinaca rucula pasta fideos caldo cuero \
    chocoramo condensada lechera chispas barquillo cono topping toppings crispeta relish tartara rosada bbq \
    teriyaki pico gallo cheddar costra mantequilla nata";

/// Dishes and drinks that people ask for anywhere; so a restaurant without them can say so.
const FOODS: &str = "\
    manzana manzanas mora lulo mango maracuya guanabana naranja mandarina uva uvas pera durazno guayaba tamarindo \
    borojo curuba feijoa papaya melon sandia kiwi arandanos cereza cerezas banano pizza pizzas hamburguesa hamburguesas perro perros sushi taco tacos burrito burritos sancocho ajiaco bandeja \
    mondongo cazuela ceviche mojarra trucha salmon lomo churrasco costillas alitas nuggets salchipapa salchipapas \
    picada empanada empanadas arepa arepas tamal tamales bunuelo bunuelos pandebono pandebonos almojabana \
    croissant torta tortas pastel pasteles cheesecake brownie brownies helado helados flan tiramisu postre postres \
    galleta galletas malteada malteadas jugo jugos limonada limonadas gaseosa gaseosas coca cocacola pepsi sprite \
    fanta colombiana cerveza cervezas vino vinos ron aguardiente tequila whisky mojito michelada cafe tinto \
    capuchino te aromatica chocolate aguapanela milo avena kumis yogurt agua aguas soda lasana lasanas espagueti \
    espaguetis pasta pastas ravioles canelones sandwich sandwiches sanduche wrap wraps ensalada ensaladas sopa \
    sopas crema caldo changua calentado lechona chuzo chuzos pincho pinchos pechuga filete chuleta sobrebarriga \
    lengua higado albondigas paella risotto ramen pho curry falafel kebab shawarma quesadilla quesadillas nachos \
    fajitas enchiladas chilaquiles pozole milanesa milanesas asado choripan choripanes parrillada matambre \
    provoleta tortilla croquetas gazpacho churros waffle waffles crepe crepes panqueque pancakes donas dona fresas \
    lumpia lumpias wonton chaufa lulada cholado salpicon mazorcada patacon patacones yuca papas combo combos \
    almuerzo almuerzos desayuno desayunos corrientazo bandejita muzzarella mozzarella anchoas falda";

struct Lexicon {
    connectors: HashSet<&'static str>,
    everyday: HashSet<&'static str>,
    preparations: HashSet<String>,
    ingredients: HashSet<String>,
    foods: HashSet<String>,
    /// Everyday words by their sound, for the ones that are long enough.
    by_sound: HashMap<String, &'static str>,
    by_length: BTreeMap<usize, Vec<&'static str>>,
}

fn stems(list: &str) -> HashSet<String> {
    list.split_whitespace().map(stem).collect()
}

fn stem(folded: &str) -> String {
    sound::singular(&sound::key(folded)).to_owned()
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let connectors: HashSet<&'static str> = CONNECTORS.split_whitespace().collect();
    let everyday: HashSet<&'static str> = TALK.split_whitespace().chain(CONNECTORS.split_whitespace()).collect();
    let by_sound =
        TALK.split_whitespace().filter(|word| word.len() >= 4).map(|word| (sound::key(word), word)).collect();
    let mut by_length: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
    let numbers = "cuatro cinco siete nueve catorce quince veinte treinta cuarenta cincuenta medios";
    let talk = [TALK, numbers].into_iter().flat_map(str::split_whitespace).filter(|word| word.len() >= 5);
    // Short foods are near to people's names.
    let food =
        [PREPARATIONS, INGREDIENTS, FOODS].into_iter().flat_map(str::split_whitespace).filter(|word| word.len() >= 6);
    for word in talk.chain(food) {
        by_length.entry(word.len()).or_default().push(word);
    }
    let (preparations, ingredients, foods) = (stems(PREPARATIONS), stems(INGREDIENTS), stems(FOODS));
    Lexicon { connectors, everyday, preparations, ingredients, foods, by_sound, by_length }
});

pub fn is_connector(folded: &str) -> bool {
    LEXICON.connectors.contains(folded)
}

/// A word of talk rather than of food.
pub fn is_everyday(folded: &str) -> bool {
    LEXICON.everyday.contains(folded)
}

/// The everyday word that sounds like this one: `grasias`, `kiero`.
pub fn by_sound(folded: &str) -> Option<&'static str> {
    if folded.len() < 4 {
        return match folded {
            "kon" => Some("con"),
            "i" => Some("y"),
            "ke" | "q" | "k" => Some("que"),
            "d" => Some("de"),
            "pa" => Some("para"),
            "bn" => Some("bien"),
            "lb" => Some("libra"),
            "lbs" => Some("libras"),
            "oks" => Some("ok"),
            _ => None,
        };
    }
    LEXICON.by_sound.get(&sound::key(folded)).copied()
}

/// The lists that a word is on, by its stem.
#[derive(Debug, Clone, Copy, Default)]
struct Lists {
    preparation: bool,
    ingredient: bool,
    food: bool,
    unheard: bool,
}

/// Words that one thread remembers the lists of.
const REMEMBERED: usize = 4_096;

thread_local! {
    // Stems cost more than everything else that is asked of a word, and a message asks for the same ones again and
    // again.
    static LISTS: RefCell<HashMap<String, Lists>> = RefCell::new(HashMap::new());
}

fn lists(folded: &str) -> Lists {
    if let Some(known) = LISTS.with_borrow(|lists| lists.get(folded).copied()) {
        return known;
    }
    let stem = stem(folded);
    let small = |list: &HashSet<String>| {
        let roots = sound::diminutive_roots(&stem);
        roots
            .iter()
            .any(|root| root.len() >= 3 && ["o", "a", "e"].iter().any(|end| list.contains(&format!("{root}{end}"))))
    };
    let preparation = LEXICON.preparations.contains(&stem) || small(&LEXICON.preparations);
    let unheard = folded.len() >= 3 && !is_everyday(folded) && !preparation && by_sound(folded).is_none();
    let found = Lists {
        preparation,
        ingredient: LEXICON.ingredients.contains(&stem) || small(&LEXICON.ingredients),
        food: LEXICON.foods.contains(&stem),
        unheard,
    };
    LISTS.with_borrow_mut(|lists| {
        if lists.len() >= REMEMBERED {
            lists.clear();
        }
        lists.insert(folded.to_owned(), found);
    });
    found
}

pub fn is_preparation(folded: &str) -> bool {
    lists(folded).preparation
}

pub fn is_ingredient(folded: &str) -> bool {
    lists(folded).ingredient
}

pub fn is_food(folded: &str) -> bool {
    lists(folded).food
}

/// A word that no list has: it may be a dish that the restaurant has not.
pub fn is_unheard(folded: &str) -> bool {
    lists(folded).unheard
}

/// The nearest word of all lists, with its number of slips.
pub fn nearest(folded: &str) -> Option<(usize, &'static str)> {
    const SHORTEST: usize = 5;
    let length = folded.len();
    if length < SHORTEST {
        return None;
    }
    let near = LEXICON.by_length.range(length - 1..=length + 1).flat_map(|(_, words)| words);
    near.filter(|word| word.as_bytes()[0] == folded.as_bytes()[0])
        .filter_map(|word| {
            let slips = strsim::osa_distance(folded, word);
            (slips <= if length >= 9 { 2 } else { 1 }).then_some((slips, *word))
        })
        .min()
}
