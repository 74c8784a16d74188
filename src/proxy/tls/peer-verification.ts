import { createHash, type X509Certificate } from "node:crypto";
import type * as Re2 from "re2js";
import { moduleCache, alternativeNames, loadPackage } from "../../base/index.ts";
import type { SubjectAltNameMatcher, TlsSpec } from "./tls-spec.ts";

export interface CertificateNames {
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  readonly emails: readonly string[];
}

/** The subject alternative names of a certificate, as OpenSSL prints them. */
export function certificateNames(certificate: X509Certificate): CertificateNames {
  const names = { uris: [] as string[], dns: [] as string[], ips: [] as string[], emails: [] as string[] };
  for (const { kind, value } of alternativeNames(certificate.subjectAltName ?? "")) {
    switch (kind) {
      case "URI":
        names.uris.push(value);
        break;
      case "DNS":
        names.dns.push(value);
        break;
      case "IP Address":
        names.ips.push(value);
        break;
      case "email":
        names.emails.push(value);
        break;
      default:
    }
  }
  return names;
}

/**
 * Why the peer's certificate does not satisfy the specification. Undefined if it does. The chain is not checked here,
 * because the handshake verifies it. With `onlyUris`, only URI names of the certificate count.
 */
export function peerTrouble(
  certificate: X509Certificate | undefined,
  tls: TlsSpec,
  onlyUris: boolean,
): string | undefined {
  const { subjectAltNames, publicKeyHashes, certificateHashes } = tls;
  if (subjectAltNames.length === 0 && publicKeyHashes.length === 0 && certificateHashes.length === 0) return undefined;
  if (certificate === undefined) return "the peer sent no certificate";
  if (
    publicKeyHashes.length > 0 &&
    !publicKeyHashes.includes(hashOf(certificate.publicKey.export({ type: "spki", format: "der" }), "base64"))
  ) {
    return "the public key of the peer's certificate is not one of those expected";
  }
  if (certificateHashes.length > 0 && !certificateHashes.includes(hashOf(certificate.raw, "hex")))
    return "the peer's certificate is not one of those expected";
  if (subjectAltNames.length === 0) return undefined;
  const { uris, ...others } = certificateNames(certificate);
  const names = { uris, ...(onlyUris ? { dns: [], ips: [], emails: [] } : others) };
  if (subjectAltNames.some((matcher) => hasName(names, matcher))) return undefined;
  const held = namesOf(names, "any");
  return `the peer is ${held.length === 0 ? "unidentified" : held.join(", ")}, expected ${subjectAltNames.map(({ match, value }) => (match === "exact" ? value : `${match} ${value}`)).join(" or ")}`;
}

/**
 * Why a certificate is not valid for the name that the connection asks for. Undefined if it is valid, or if the
 * connection asks for none.
 */
export function nameTrouble(
  certificate: X509Certificate | undefined,
  name: string | undefined,
  onlyUris: boolean,
): string | undefined {
  if (name === undefined) return undefined;
  if (certificate === undefined) return "the peer sent no certificate";
  if (onlyUris) return `the root of the peer's certificate may not sign for ${name}, only for its trust domains`;
  return certificate.checkHost(name) === undefined ? `the peer's certificate is not for ${name}` : undefined;
}

function hashOf(bytes: Uint8Array, encoding: "base64" | "hex"): string {
  return createHash("sha256").update(bytes).digest(encoding);
}

function namesOf(names: CertificateNames, type: SubjectAltNameMatcher["type"]): readonly string[] {
  switch (type) {
    case "uri":
      return names.uris;
    case "dns":
      return names.dns;
    case "ip":
      return names.ips;
    case "email":
      return names.emails;
    case "any":
      return [...names.uris, ...names.dns, ...names.ips, ...names.emails];
  }
}

function hasName(names: CertificateNames, matcher: SubjectAltNameMatcher): boolean {
  if (namesOf(names, matcher.type).some((name) => matches(matcher, name))) return true;
  const comparesDns = (matcher.type === "dns" || matcher.type === "any") && matcher.match === "exact";
  return comparesDns && names.dns.some((name) => isWildcardFor(name, matcher.value));
}

/** Whether a wildcard covers a host. The `*` stands for exactly the first label. Only DNS names have wildcards. */
function isWildcardFor(name: string, value: string): boolean {
  const [wildcard, host] = [name.toLowerCase(), value.toLowerCase()];
  const dot = host.indexOf(".");
  return wildcard.startsWith("*.") && /^[a-z\d_.-]+$/.test(host) && dot > 0 && wildcard.slice(1) === host.slice(dot);
}

const expressions = moduleCache<string, Re2.RE2JS>("expressions-of-names", 1000);

function matches(matcher: SubjectAltNameMatcher, held: string): boolean {
  const fold = (text: string): string => (matcher.ignoreCase || matcher.type === "dns" ? text.toLowerCase() : text);
  const [name, value] = [fold(held), fold(matcher.value)];
  switch (matcher.match) {
    case "exact":
      return name === value;
    case "prefix":
      return name.startsWith(value);
    case "suffix":
      return name.endsWith(value);
    case "contains":
      return name.includes(value);
    case "regex":
      return expressionOf(matcher.value).matcher(held).matches();
  }
}

function expressionOf(text: string): Re2.RE2JS {
  let expression = expressions.get(text);
  if (expression === undefined) {
    // Load the package with the first expression, because most configurations contain none.
    expression = loadPackage<typeof Re2>("re2js").RE2JS.compile(text);
    expressions.set(text, expression);
  }
  return expression;
}
