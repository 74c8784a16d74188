import { isAlias, isMap, isScalar, isSeq, parseDocument, visit, type Document, type Scalar } from "yaml";

/**
 * The fields of Prometheus' configuration that contain secrets. A field whose name ends in `_file` has only a path, and
 * stays readable.
 */
const secretFields: ReadonlySet<string> = new Set([
  "password",
  "bearer_token",
  "credentials",
  "client_secret",
  "secret_key",
  "auth_token",
  "api_token",
  "token",
  "application_credential_secret",
  "application_secret",
  "consumer_key",
  "private_key",
  "service_account_key",
  "client_certificate_key",
  "proxy_connect_header",
]);
/** Fields that contain secrets at these paths below them only. `*` means any name. */
const secretsWithin: ReadonlyMap<string, readonly string[]> = new Map([
  ["tls_config", ["key"]],
  ["http_headers", ["*", "secrets"]],
]);
const passwordInUrl = /(\/\/[^/?#@\s:]*:)[^/?#\s]*@/g;
const mask = "<secret>";

/**
 * The configuration with its secrets masked. Like Prometheus, the API shows this text to everybody who can connect to
 * its port.
 */
export function maskedConfig(text: string): string {
  const document = parseDocument(text, { logLevel: "error" });
  let isMasked = false;
  visit(document, {
    Pair: (_, { key, value }) => {
      const name = isScalar(key) ? String(key.value) : "";
      const path = secretFields.has(name) ? [] : secretsWithin.get(name);
      if (path === undefined) return;
      for (const scalar of scalarsAt(value, path, document)) {
        scalar.value = mask;
        isMasked = true;
      }
    },
    Scalar: (_, scalar) => {
      if (typeof scalar.value !== "string") return;
      const shown = scalar.value.replaceAll(passwordInUrl, `$1${mask}@`);
      if (shown === scalar.value) return;
      scalar.value = shown;
      isMasked = true;
    },
  });
  return isMasked ? document.toString({ lineWidth: 0 }) : text;
}

/** The scalars at or below a path. It follows each alias only once, because aliases may form a circle. */
function* scalarsAt(
  node: unknown,
  path: readonly string[],
  document: Document,
  followed: ReadonlySet<unknown> = new Set(),
): Generator<Scalar> {
  if (isScalar(node)) {
    if (path.length === 0) yield node;
  } else if (isAlias(node)) {
    const target = node.resolve(document);
    if (!followed.has(target)) yield* scalarsAt(target, path, document, new Set([...followed, target]));
  } else if (isSeq(node)) {
    for (const item of node.items) yield* scalarsAt(item, path, document, followed);
  } else if (isMap(node)) {
    const [part, ...rest] = path;
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : "";
      if (name === "<<") yield* scalarsAt(value, path, document, followed);
      else if (part === undefined || part === "*" || part === name) yield* scalarsAt(value, rest, document, followed);
    }
  }
}
