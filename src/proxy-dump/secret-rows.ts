import { X509Certificate } from "node:crypto";
import { certificateBlocks, rfc3339Seconds } from "../base/index.ts";
import type { ConfigDump, DynamicSecret } from "./config-dump.ts";

interface SecretRow {
  readonly name: string;
  readonly state: string;
  readonly certificate: X509Certificate | undefined;
  readonly trustDomain: string;
}

/**
 * A row for each secret, with its first certificate. There is a column for trust domains only if every secret has one.
 */
export function secretRows(
  dump: ConfigDump,
  nowMs: number,
): { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const rows = (["WARMING", "ACTIVE"] as const).flatMap((state) =>
    dump.secrets(state).flatMap((secret) => rowsOf(secret, state)),
  );
  const withDomain = rows.length > 0 && rows.every(({ trustDomain }) => trustDomain !== "");
  const header = [
    "RESOURCE NAME",
    "TYPE",
    "STATUS",
    "VALID CERT",
    "SERIAL NUMBER",
    "NOT AFTER",
    "NOT BEFORE",
    ...(withDomain ? ["TRUST DOMAIN"] : []),
  ];
  return { header, rows: rows.map((row) => columns(row, nowMs, withDomain)) };
}

/** The roots with which the proxy verifies its peers, as PEM. Undefined if it has none. */
export function rootCertificates(dump: ConfigDump): string | undefined {
  const root = dump.secrets("ACTIVE").find(({ name }) => name === "ROOTCA");
  return (
    pemOf(root?.secret?.validationContext?.trustedCa?.inlineBytes) ??
    pemOf(
      root?.secret?.validationContext?.customValidatorConfig?.typedConfig?.trustDomains?.[0]?.trustBundle?.inlineBytes,
    )
  );
}

/** The certificates in a PEM text. Throws if one cannot be read. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  return certificateBlocks(pem).map((block) => new X509Certificate(block));
}

function rowsOf(
  { name = "", versionInfo, secret = {} }: DynamicSecret,
  listed: "ACTIVE" | "WARMING",
): readonly SecretRow[] {
  const state = listed === "ACTIVE" && versionInfo === "uninitialized" ? "UNINITIALIZED" : listed;
  const row = (pem: string | undefined, trustDomain = ""): SecretRow => {
    const certificate = firstCertificate(pem);
    return { name, state, certificate, trustDomain: trustDomain === "" ? trustDomainOf(certificate) : trustDomain };
  };
  const domains = secret.validationContext?.customValidatorConfig?.typedConfig?.trustDomains;
  if (domains !== undefined) return domains.map((domain) => row(pemOf(domain.trustBundle?.inlineBytes), domain.name));
  return [
    row(
      pemOf(secret.tlsCertificate?.certificateChain?.inlineBytes) ??
        pemOf(secret.validationContext?.trustedCa?.inlineBytes),
    ),
  ];
}

function pemOf(base64: string | undefined): string | undefined {
  return base64 === undefined || base64 === "" ? undefined : Buffer.from(base64, "base64").toString("utf8");
}

/** The first certificate in a PEM text. Undefined if there is none, or if it cannot be read. */
function firstCertificate(pem: string | undefined): X509Certificate | undefined {
  try {
    return pem === undefined ? undefined : certificatesIn(pem)[0];
  } catch {
    return undefined;
  }
}

function trustDomainOf(certificate: X509Certificate | undefined): string {
  return /URI:spiffe:\/\/([^/,]+)/.exec(certificate?.subjectAltName ?? "")?.[1] ?? "";
}

function columns(
  { name, state, certificate, trustDomain }: SecretRow,
  nowMs: number,
  withDomain: boolean,
): readonly string[] {
  if (certificate === undefined) return [name, "", state, "false", "", "", ""];
  const { ca, serialNumber, validFromDate, validToDate } = certificate;
  const valid = validFromDate.getTime() < nowMs && nowMs < validToDate.getTime();
  return [
    name,
    ca ? "CA" : "Cert Chain",
    state,
    String(valid),
    serialNumber.toLowerCase().padStart(32, "0"),
    rfc3339Seconds(validToDate.getTime()),
    rfc3339Seconds(validFromDate.getTime()),
    ...(withDomain ? [trustDomain] : []),
  ];
}
