import { isScalar, parseDocument, visit } from "yaml";

/** The fields that Prometheus' configuration keeps secrets in. Those that end in `_file` name a file, and are shown. */
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
]);
const passwordInUrl = /(\/\/[^/?#@\s:]*:)[^/?#\s]*@/g;
const mask = "<secret>";

/** The configuration with its secrets masked, as Prometheus shows it to everybody who reaches its port. */
export function maskedConfig(text: string): string {
  const document = parseDocument(text, { logLevel: "error" });
  let isMasked = false;
  visit(document, {
    Pair: (_, pair) => {
      if (!isScalar(pair.key) || !secretFields.has(String(pair.key.value)) || !isScalar(pair.value)) return;
      pair.value.value = mask;
      isMasked = true;
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
