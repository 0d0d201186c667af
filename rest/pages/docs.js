// Shows /openapi.json as a page to read; loads nothing from anywhere else.
const page = document.getElementById("page");

function add(parent, tag, text, attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(text);
  parent.append(made);
  return made;
}

const nameOf = (schema) => schema.$ref.split("/").pop();

function type(schema) {
  if (schema.$ref) {
    const link = document.createElement("a");
    link.href = `#${nameOf(schema)}`;
    link.textContent = nameOf(schema);
    return [link];
  }
  if (schema.type === "array") return [...type(schema.items), "[]"];
  if (schema.additionalProperties?.type) return ["map of ", ...type(schema.additionalProperties)];
  if (schema.enum) return [schema.enum.join(" | ")];
  return [[schema.type].flat().join(" or ") + (schema.format ? ` (${schema.format})` : "")];
}

function table(parent, rows) {
  const made = add(parent, "table", "");
  for (const [name, schema, told] of rows) {
    const row = add(made, "tr", "");
    add(row, "td", name);
    const cell = add(row, "td", "");
    cell.append(...type(schema));
    add(row, "td", told ?? "");
  }
}

const fields = (schema) =>
  Object.entries(schema.properties ?? {}).map(([name, field]) => [name, field, field.description]);

function body(parent, title, content) {
  for (const [media, { schema }] of Object.entries(content ?? {})) {
    const line = add(parent, "p", `${title} `);
    add(line, "code", media);
    line.append(" ", ...(schema.properties ? [] : type(schema)));
    if (schema.properties) table(parent, fields(schema));
  }
}

function operation(parent, document_, path, method, told) {
  const title = add(parent, "h3", "", { id: told.operationId });
  add(title, "b", method.toUpperCase());
  title.append(path);
  add(parent, "p", told.description);
  const parameters = (told.parameters ?? []).map((one) =>
    one.$ref ? document_.components.parameters[nameOf(one)] : one);
  if (parameters.length) table(parent, parameters.map((one) => [`${one.name} (${one.in})`, one.schema, one.description]));
  body(parent, "Body:", told.requestBody?.content);
  for (const [status, answer] of Object.entries(told.responses)) {
    if (status !== "default") body(parent, `${status}, ${answer.description}:`, answer.content ?? { "nothing": { schema: { type: "" } } });
  }
}

async function show() {
  const told = await (await fetch("/openapi.json")).json();
  add(page, "h1", "Harmonia over HTTP");
  add(page, "p", told.info.description);
  const groups = {};
  for (const [path, operations] of Object.entries(told.paths)) {
    for (const [method, one] of Object.entries(operations)) (groups[one.tags[0]] ??= []).push([path, method, one]);
  }
  for (const [group, operations] of Object.entries(groups)) {
    add(page, "h2", group.replace(/Service$/, ""));
    for (const [path, method, one] of operations) operation(page, told, path, method, one);
  }
  add(page, "h2", "Types");
  for (const [name, schema] of Object.entries(told.components.schemas)) {
    add(page, "h3", name, { id: name });
    add(page, "p", schema.description ?? "");
    table(page, fields(schema));
  }
  document.querySelector(location.hash || "#none")?.scrollIntoView();
}

show();
