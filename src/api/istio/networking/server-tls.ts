import { areRepeated, type Reader } from "../../reader.ts";
import { readText, refuseUnknown } from "../fields.ts";

/**
 * TLS of a Gateway's server or a Sidecar's ingress. Files are in the proxy's file system, and credential names are
 * Secrets.
 */
export interface ServerTls {
  readonly httpsRedirect: boolean;
  readonly mode: ServerTlsMode;
  readonly serverCertificate?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly caCertificates?: string | undefined;
  readonly caCrl?: string | undefined;
  readonly credentialName?: string | undefined;
  readonly credentialNames: readonly string[];
  readonly caCertCredentialName?: string | undefined;
  readonly tlsCertificates: readonly ServerCertificateFiles[];
  readonly subjectAltNames: readonly string[];
  /** Base64 SHA-256 digests of the public keys (SubjectPublicKeyInfo) of accepted client certificates. */
  readonly verifyCertificateSpki: readonly string[];
  /** Hex SHA-256 digests of accepted client certificates. */
  readonly verifyCertificateHash: readonly string[];
  readonly minProtocolVersion: TlsVersion;
  readonly maxProtocolVersion: TlsVersion;
  /** Known cipher suites under OpenSSL's names, each once. Empty means the proxy's default. */
  readonly cipherSuites: readonly string[];
}

export interface ServerCertificateFiles {
  readonly serverCertificate: string;
  readonly privateKey: string;
  readonly caCertificates?: string | undefined;
}

const modes = ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] as const;
export type ServerTlsMode = (typeof modes)[number];

const versions = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;
export type TlsVersion = (typeof versions)[number];

const cipherSuites = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
];

/** The prefix of names of certificates that a provider of the mesh config serves (`extensionProviders[].sds`). */
export const externalSecretPrefix = "sds://";

/** The fields that name the server's certificates. At most one of them may be set. */
const sources = ["credentialName", "credentialNames", "tlsCertificates", "serverCertificate"] as const;
const certificateFields = [
  "serverCertificate",
  "privateKey",
  "caCertificates",
  "caCrl",
  "credentialName",
  "credentialNames",
  "tlsCertificates",
] as const;
const maxCertificates = 2;

export function readServerTls(reader: Reader | undefined): ServerTls | undefined {
  if (reader === undefined) return undefined;
  const tls: ServerTls = {
    httpsRedirect: reader.boolean("httpsRedirect") ?? false,
    mode: reader.oneOf("mode", modes) ?? "PASSTHROUGH",
    serverCertificate: readText(reader, "serverCertificate"),
    privateKey: readText(reader, "privateKey"),
    caCertificates: readText(reader, "caCertificates"),
    caCrl: readText(reader, "caCrl"),
    credentialName: readText(reader, "credentialName"),
    credentialNames: reader.strings("credentialNames"),
    caCertCredentialName: readText(reader, "caCertCredentialName"),
    tlsCertificates: reader.objects("tlsCertificates").map(readCertificate),
    subjectAltNames: reader.strings("subjectAltNames"),
    verifyCertificateSpki: reader.strings("verifyCertificateSpki"),
    verifyCertificateHash: reader.strings("verifyCertificateHash"),
    minProtocolVersion: reader.oneOf("minProtocolVersion", versions) ?? "TLS_AUTO",
    maxProtocolVersion: reader.oneOf("maxProtocolVersion", versions) ?? "TLS_AUTO",
    cipherSuites: readCipherSuites(reader),
  };
  if (reader.boolean("insecureSkipVerify") === true)
    reader.error("is for clients and has no effect on a server; remove it", "insecureSkipVerify");
  checkCertificates(reader, tls);
  checkVersions(reader, tls);
  refuseUnknown(reader);
  return tls;
}

function readCertificate(reader: Reader): ServerCertificateFiles {
  const certificate = {
    serverCertificate: reader.string("serverCertificate") ?? "",
    privateKey: reader.string("privateKey") ?? "",
    caCertificates: readText(reader, "caCertificates"),
  };
  refuseUnknown(reader);
  return certificate;
}

function readCipherSuites(reader: Reader): readonly string[] {
  const suites = reader.strings("cipherSuites");
  const repeated = areRepeated(suites);
  return suites.filter((suite, index) => {
    // Texts with a leading sign are OpenSSL expressions, such as "-ALL".
    const isKnown = suite === "" || suite === "ALL" || !/^[A-Za-z0-9]/.test(suite) || cipherSuites.includes(suite);
    const isFirst = repeated[index] === false;
    if (!isKnown)
      reader.warn(
        `is ignored, "${suite}" is unknown to proxies; known: ${cipherSuites.join(", ")}`,
        `cipherSuites[${index}]`,
      );
    else if (!isFirst) reader.warn(`is ignored, "${suite}" appears twice`, `cipherSuites[${index}]`);
    return isKnown && isFirst;
  });
}

function isSet(tls: ServerTls, field: (typeof certificateFields)[number]): boolean {
  const value = tls[field];
  return typeof value === "object" ? value.length > 0 : value !== undefined;
}

function checkCertificates(reader: Reader, tls: ServerTls): void {
  const set = certificateFields.filter((field) => isSet(tls, field));
  switch (tls.mode) {
    case "ISTIO_MUTUAL":
      for (const field of set)
        if (field !== "caCrl")
          reader.error("must not be set when the mode is ISTIO_MUTUAL, which uses the mesh's certificates", field);
      return;
    case "PASSTHROUGH":
    case "AUTO_PASSTHROUGH":
      for (const field of set)
        reader.warnNoEffect(`has no effect when the mode is ${tls.mode}, which does not terminate TLS`, field);
      checkSources(reader, tls);
      return;
    default:
      checkSources(reader, tls);
      checkOwnCertificates(reader, tls);
  }
}

function checkSources(reader: Reader, tls: ServerTls): void {
  const [first, ...others] = sources.filter(
    (field) => isSet(tls, field) && (field !== "serverCertificate" || tls.privateKey !== undefined),
  );
  for (const field of others)
    reader.error(`cannot be combined with ${first ?? ""}: certificates come from only one of them`, field);
  if (tls.credentialNames.length > maxCertificates)
    reader.error(`must have at most ${maxCertificates}`, "credentialNames");
  if (tls.tlsCertificates.length > maxCertificates)
    reader.error(`must have at most ${maxCertificates}`, "tlsCertificates");
  checkExternalNames(reader, tls);
}

function checkExternalNames(reader: Reader, tls: ServerTls): void {
  const names = [
    ["credentialName", tls.credentialName],
    ["caCertCredentialName", tls.caCertCredentialName],
    ...tls.credentialNames.map((name, index) => [`credentialNames[${index}]`, name] as const),
  ] as const;
  for (const [field, name] of names)
    if (name === externalSecretPrefix)
      reader.error(`must have the name of a secret of the SDS provider after ${externalSecretPrefix}`, field);
}

/** Reports missing certificates. If the proxy terminates TLS, they must come from Secrets or files. */
function checkOwnCertificates(reader: Reader, tls: ServerTls): void {
  if (tls.caCrl !== undefined && tls.credentialName !== undefined)
    reader.error("must be in the credential instead", "caCrl");
  if (tls.caCrl !== undefined && tls.mode === "SIMPLE") reader.error("needs a mode with client certificates", "caCrl");
  if (tls.credentialName !== undefined || tls.credentialNames.length > 0) return;
  if (tls.mode !== "SIMPLE" && tls.caCertificates === undefined)
    reader.error(`is required when the mode is ${tls.mode}, unless there is a credentialName`, "caCertificates");
  const { tlsCertificates, serverCertificate, privateKey } = tls;
  const files = tlsCertificates.map((certificate, index) => ({ at: `tlsCertificates[${index}].`, ...certificate }));
  if (files.length === 0)
    files.push({ at: "", serverCertificate: serverCertificate ?? "", privateKey: privateKey ?? "" });
  for (const { at, ...certificate } of files) {
    for (const field of ["serverCertificate", "privateKey"] as const) {
      if (certificate[field] === "")
        reader.error(`is required when the mode is ${tls.mode}, unless there is a credentialName`, `${at}${field}`);
    }
  }
}

function checkVersions(reader: Reader, tls: ServerTls): void {
  const { minProtocolVersion: least, maxProtocolVersion: most } = tls;
  if ((least === "TLSV1_0" || least === "TLSV1_1") && tls.cipherSuites.length === 0)
    reader.warn(`is below TLSV1_2, which needs old cipher suites in cipherSuites`, "minProtocolVersion");
  if (least !== "TLS_AUTO" && most !== "TLS_AUTO" && versions.indexOf(least) > versions.indexOf(most))
    reader.error(`must not be above maxProtocolVersion (${most}), got ${least}`, "minProtocolVersion");
}
