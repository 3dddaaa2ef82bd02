//! The form of the quick-order mode: labelled lines that the customer fills in. Owns reading and writing it.

use crate::bot::text;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilledForm {
    pub name: String,
    pub address: String,
    pub phone: String,
    pub order: String,
    pub payment: String,
    pub comment: String,
}

fn field<'a>(form: &'a mut FilledForm, label: &str) -> Option<&'a mut String> {
    let folded = text::fold(label);
    let words: String = folded.chars().filter(|c| c.is_alphabetic() || *c == ' ').collect();
    Some(match words.trim() {
        "nombre" | "nombre completo" | "name" | "a nombre de" => &mut form.name,
        "direccion" | "dir" | "direccion de entrega" | "address" | "delivery address" => &mut form.address,
        "telefono" | "tel" | "celular" | "cel" | "numero" | "telefono de contacto" | "phone" | "phone number" => {
            &mut form.phone
        }
        "pedido" | "orden" | "mi pedido" | "order" => &mut form.order,
        "pago" | "forma de pago" | "metodo de pago" | "medio de pago" | "payment" => &mut form.payment,
        "observaciones" | "observacion" | "comentario" | "comentarios" | "nota" | "notas" | "comments" | "notes" => {
            &mut form.comment
        }
        _ => return None,
    })
}

/// The text as a form, if two labels of it are there.
pub fn read(said: &str) -> Option<FilledForm> {
    let mut form = FilledForm::default();
    let mut labels = 0;
    let mut current: Option<String> = None;
    // Without a label of its own, the order stands above the labels, or below one that takes a line.
    let mut loose = String::new();
    for line in said.lines() {
        let labelled = line.split_once([':', '：']).filter(|(label, _)| field(&mut form, label).is_some());
        let value = match labelled {
            Some((label, value)) => {
                labels += 1;
                current = Some(label.to_owned());
                value
            }
            None => line,
        };
        let takes_line = |label: &str| {
            let mut probe = FilledForm::default();
            if let Some(into) = field(&mut probe, label) {
                into.push('x');
            }
            probe.order.is_empty() && probe.comment.is_empty() && probe.address.is_empty()
        };
        let is_filled = current.as_ref().and_then(|label| field(&mut form, label)).is_some_and(|into| !into.is_empty());
        if labelled.is_none() && current.as_deref().is_none_or(|label| is_filled && takes_line(label)) {
            loose.push_str(value.trim());
            loose.push('\n');
            continue;
        }
        if let Some(into) = current.as_ref().and_then(|label| field(&mut form, label)) {
            if !into.is_empty() {
                into.push('\n');
            }
            into.push_str(value.trim());
        }
    }
    if form.order.trim().is_empty() {
        form.order = loose;
    }
    for value in
        [&mut form.name, &mut form.address, &mut form.phone, &mut form.order, &mut form.payment, &mut form.comment]
    {
        *value = value.trim().to_owned();
    }
    (labels >= 2).then_some(form)
}

/// The lines of the form with what is known behind their labels.
pub fn write(lines: &str, known: &FilledForm) -> String {
    let mut known = known.clone();
    let filled = lines.lines().map(|line| match line.split_once(':') {
        Some((label, _)) => {
            let value = field(&mut known, label).map(|value| value.clone()).unwrap_or_default();
            format!("{label}: {value}").trim_end().to_owned()
        }
        None => line.to_owned(),
    });
    filled.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{FilledForm, read, write};

    #[test]
    fn a_filled_form_is_read_and_written() {
        let text = "Nombre: Ana\n*Dirección*: Calle 10 # 20-30\nTel: 3001234567\nPedido: 2 perros\nuna coca 400\nPago: efectivo";
        let form = read(text).unwrap();
        assert_eq!(form.order, "2 perros\nuna coca 400");
        assert_eq!((form.name.as_str(), form.phone.as_str(), form.comment.as_str()), ("Ana", "3001234567", ""));
        assert_eq!(form.address, "Calle 10 # 20-30");
        assert_eq!(read("Pedido: 2 perros"), None);
        assert_eq!(read("hola: quiero\nnada"), None);
        let again = write("Nombre:\nPago:\nPedido:", &FilledForm { name: "Ana".into(), ..FilledForm::default() });
        assert_eq!(again, "Nombre: Ana\nPago:\nPedido:");
    }
}
