import type { Reader } from "../reader.ts";
import { readText, refuseUnknown } from "./fields.ts";

/** TLS of a server: of a Gateway, or of a Sidecar's ingress. Files are of the proxy; credential names are secrets. */
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
  readonly tlsCertificates: readonly { readonly serverCertificate: string; readonly privateKey: string; readonly caCertificates?: string | undefined }[];
  readonly subjectAltNames: readonly string[];
  /** Base64 SHA-256 of the public key info that a client's certificate must have. */
  readonly verifyCertificateSpki: readonly string[];
  /** Hex SHA-256 of the client's certificate. */
  readonly verifyCertificateHash: readonly string[];
  readonly minProtocolVersion: TlsVersion;
  readonly maxProtocolVersion: TlsVersion;
  readonly cipherSuites: readonly string[];
}

const modes = ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] as const;
export type ServerTlsMode = (typeof modes)[number];

const versions = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;
export type TlsVersion = (typeof versions)[number];

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
    tlsCertificates: reader.list("tlsCertificates").map(readCertificate),
    subjectAltNames: reader.strings("subjectAltNames"),
    verifyCertificateSpki: reader.strings("verifyCertificateSpki"),
    verifyCertificateHash: reader.strings("verifyCertificateHash"),
    minProtocolVersion: reader.oneOf("minProtocolVersion", versions) ?? "TLS_AUTO",
    maxProtocolVersion: reader.oneOf("maxProtocolVersion", versions) ?? "TLS_AUTO",
    cipherSuites: reader.strings("cipherSuites"),
  };
  reader.ignore("insecureSkipVerify");
  refuseUnknown(reader);
  return tls;
}

function readCertificate(reader: Reader): ServerTls["tlsCertificates"][number] {
  const certificate = { serverCertificate: reader.string("serverCertificate") ?? "", privateKey: reader.string("privateKey") ?? "", caCertificates: readText(reader, "caCertificates") };
  refuseUnknown(reader);
  return certificate;
}
