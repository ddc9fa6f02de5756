//! Many questions in one request.

use std::net::SocketAddr;

use super::tests::{Answer, exchange, get, start};

/// One request with a body.
async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    exchange(address, &format!("{head}\r\n{body}")).await
}

#[tokio::test]
async fn many_questions_are_answered_in_their_order_and_each_as_if_asked_alone() {
    let (_dir, _city, server) = start().await;
    let at = server.address();
    let questions = [
        (r#"{"box":[500000,3999990,500245,4000020],"limit":5}"#, "box=500000,3999990,500245,4000020&limit=5"),
        (r#"{"near":[500300,4000005],"limit":7,"layers":["建筑"]}"#, "near=500300,4000005&limit=7&layers=建筑"),
        (r#"{"box":"1,1,2,2"}"#, "box=1,1,2,2"),
        (r#"{"where":"id = '建筑/3'"}"#, "where=id%20=%20'建筑/3'"),
        (
            r#"{"within":{"type":"Point","coordinates":[500005,4000005]},"distance":30}"#,
            "within=POINT(500005%204000005)&distance=30",
        ),
        (r#"{"bbox":[120.0,36.12,120.004,36.13],"version":1}"#, "bbox=120.0,36.12,120.004,36.13&version=1"),
        (r#"{"bbox":[1e30,0,2e30,1]}"#, "bbox=1e30,0,2e30,1"),
    ];
    let bad = [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        (r#"{"near":[1,[2]]}"#, "near"),
        (r#"{"near":[1,2],"f":"json"}"#, "f is not for many"),
        (r#"{"nearest":[1,2]}"#, "nearest"),
        (r#"{"layers":"nowhere"}"#, "nowhere"),
        (r#"{"where":"height_m >"}"#, "where"),
        (r#"{"version":99}"#, "99"),
    ];
    let mut lines: Vec<&str> = questions.iter().map(|(line, _)| *line).collect();
    lines.extend(bad.iter().map(|(line, _)| *line));
    // A good one after the bad.
    lines.push(questions[0].0);
    let answer = post(at, "/query", &(lines.join("\n") + "\n")).await;
    assert_eq!((answer.status, answer.header("content-type").as_deref()), (200, Some("application/x-ndjson")));
    let text = String::from_utf8(answer.body).unwrap();
    let answers: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), lines.len());
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["question"], number);
        let Some((_, alone)) = questions.get(number % (questions.len() + bad.len())) else {
            let (line, word) = bad[number - questions.len()];
            assert!(answer["error"].as_str().unwrap().contains(word), "{line}: {answer}");
            continue;
        };
        let alone = get(at, &format!("/query?{}&f=json", alone.replace("建筑", "%E5%BB%BA%E7%AD%91")), "").await;
        let alone: Vec<serde_json::Value> =
            String::from_utf8(alone.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answer["hits"].as_array().unwrap(), &alone, "{number}");
    }
    assert!(answers[0]["hits"].as_array().unwrap().len() == 5 && !answers[4]["hits"].as_array().unwrap().is_empty());
    let none = post(at, "/query", "").await;
    assert!(none.status == 400 && none.json()["error"].as_str().unwrap().contains("no question"));
    let much = post(at, "/query", &"{}\n".repeat(10_001)).await;
    assert!(much.status == 400 && much.json()["error"].as_str().unwrap().contains("10000"));
    assert_eq!(post(at, "/query", &" ".repeat(3 << 20)).await.status, 413);
    assert_eq!(post(at, "/layers", "{}").await.status, 405);
    server.stop().await.unwrap();
}

/// The rows of an Arrow answer, each as its columns by name.
fn rows(body: &[u8]) -> Vec<serde_json::Map<String, serde_json::Value>> {
    use arrow_array::{Array, cast::AsArray, types};
    use serde_json::{Value, json};
    let mut rows = Vec::new();
    for batch in arrow_ipc::reader::StreamReader::try_new(body, None).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let value = |column: &dyn Array| -> Value {
                if column.is_null(row) {
                    return Value::Null;
                }
                match column.data_type() {
                    arrow_schema::DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
                    arrow_schema::DataType::UInt32 => json!(column.as_primitive::<types::UInt32Type>().value(row)),
                    arrow_schema::DataType::Float64 => json!(column.as_primitive::<types::Float64Type>().value(row)),
                    arrow_schema::DataType::Boolean => json!(column.as_boolean().value(row)),
                    arrow_schema::DataType::Binary => json!(column.as_binary::<i32>().value(row).len()),
                    other => json!(other.to_string()),
                }
            };
            let schema = batch.schema();
            let names = schema.fields().iter().map(|field| field.name().clone());
            rows.push(names.zip(batch.columns().iter().map(|column| value(column))).collect());
        }
    }
    rows
}

#[tokio::test]
async fn a_table_says_the_same_as_the_lines() {
    let (_dir, _city, server) = start().await;
    let at = server.address();
    let questions = "{\"box\":[500000,3999990,500245,4000020],\"limit\":5}\n{\"nearest\":1}\n{\"near\":[500300,4000005],\"limit\":3}\n";
    let lines = post(at, "/query", questions).await;
    let table = post(at, "/query?f=arrow", questions).await;
    assert_eq!(table.header("content-type").as_deref(), Some("application/vnd.apache.arrow.stream"));
    let mut found = rows(&table.body).into_iter();
    for line in String::from_utf8(lines.body).unwrap().lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(hits) = answer["hits"].as_array() else {
            let row = found.next().unwrap();
            assert_eq!((&row["question"], &row["error"]), (&answer["question"], &answer["error"]));
            assert!(row["id"].is_null() && row["x_min"].is_null());
            continue;
        };
        assert!(!hits.is_empty());
        for hit in hits {
            let row = found.next().unwrap();
            assert_eq!(row["question"], answer["question"]);
            for member in ["id", "layer", "class", "stage", "domain", "name", "parent", "distance_m"] {
                assert_eq!(row[member], hit[member], "{member}");
            }
            assert_eq!((&row["x_min"], &row["z_max"]), (&hit["extent"]["min"][0], &hit["extent"]["max"][2]));
            let attributes: serde_json::Value = serde_json::from_str(row["attributes"].as_str().unwrap()).unwrap();
            assert_eq!(attributes, hit["attributes"]);
        }
    }
    assert!(found.next().is_none());

    // One question, with shapes and the system that they are in.
    let alone = get(at, "/query?box=500000,3999990,500245,4000020&limit=5&f=arrow", "").await;
    let reader = arrow_ipc::reader::StreamReader::try_new(&alone.body[..], None).unwrap();
    let shape = reader.schema().field_with_name("geometry").unwrap().clone();
    assert_eq!(shape.metadata()["ARROW:extension:name"], "geoarrow.wkb");
    assert!(shape.metadata()["ARROW:extension:metadata"].contains("\"code\":4549"), "{:?}", shape.metadata());
    let of_one = rows(&alone.body);
    assert_eq!(of_one.len(), 5);
    assert!(of_one.iter().all(|row| row["geometry"].as_u64().unwrap() > 20 && !row.contains_key("question")));
    let nothing = get(at, "/query?bbox=1,1,2,2&f=arrow", "").await;
    assert_eq!((nothing.status, rows(&nothing.body).len()), (200, 0));
    assert_eq!(get(at, "/query?f=arrow&crs=wgs84", "").await.status, 400);
    assert_eq!(post(at, "/query?f=csv", "{}").await.status, 400);
    assert_eq!(post(at, "/query?limit=3", "{}").await.status, 400);
    server.stop().await.unwrap();
}
