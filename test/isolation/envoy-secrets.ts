// Decides which secrets Envoy 1.40 accepts, by Envoy's own rules and not by the control plane's.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { SecretSchema, type DataSource } from "../../src/wire/envoy/index.ts";
import { judgeStaple } from "./envoy-staples.ts";

/** Returns why an Envoy rejects a certificate with its key and staple, or roots with their revocation lists. */
export function secretFaults({ name, any }: EncodedResource): string[] {
  const { type } = fromBinary(SecretSchema, fromBinary(AnySchema, any).value);
  try {
    if (type.case === "tlsCertificate") {
      const { certificateChain, privateKey, ocspStaple } = type.value;
      judgePair(textOf(certificateChain), textOf(privateKey), bytesOf(ocspStaple));
    } else if (type.case === "validationContext") {
      const { trustedCa, crl } = type.value;
      if (judgeBlocks(textOf(trustedCa)).length === 0) throw new Error("there is no root");
      judgeBlocks(textOf(crl));
    }
    return [];
  } catch (error) {
    return [`${name}: ${String(error)}`];
  }
}

function bytesOf(source: DataSource | undefined): Buffer {
  const specifier = source?.specifier;
  return specifier?.case === "inlineBytes" ? Buffer.from(specifier.value) : Buffer.from(specifier?.value ?? "");
}

function textOf(source: DataSource | undefined): string {
  return bytesOf(source).toString("utf8");
}

interface Block {
  readonly label: string;
  readonly text: string;
}

/**
 * Reads PEM line by line. Throws for a block without an end line or with a wrong one, and for one that is not base64.
 */
function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { readonly label: string; readonly lines: string[] } | undefined;
  for (const line of text.split("\n").map((one) => one.trimEnd())) {
    if (open === undefined) {
      if (line.startsWith("-----BEGIN ") && line.endsWith("-----"))
        open = { label: line.slice("-----BEGIN ".length, -"-----".length), lines: [line] };
      continue;
    }
    open.lines.push(line);
    if (!line.startsWith("-----END ")) continue;
    const body = open.lines.slice(1, -1).join("");
    if (line !== `-----END ${open.label}-----`) throw new Error(`${open.label} ends as ${line}`);
    if (body.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(body)) throw new Error(`${open.label} is not base64`);
    blocks.push({ label: open.label, text: `${open.lines.join("\n")}\n` });
    open = undefined;
  }
  if (open !== undefined) throw new Error(`${open.label} has no end`);
  return blocks;
}

/** Reads each block of roots or revocation lists. Throws for a broken one, even if Envoy does not need it. */
function judgeBlocks(pem: string): readonly Block[] {
  const blocks = blocksOf(pem);
  for (const { label, text } of blocks) {
    if (label.endsWith("CERTIFICATE")) certificateIn(text);
    else if (label === "X509 CRL") createSecureContext({ crl: text });
    else if (label.endsWith("PRIVATE KEY")) createPrivateKey(text);
  }
  return blocks;
}

function certificateIn(text: string): X509Certificate {
  return new X509Certificate(text);
}

/** P-256, P-384 and P-521, as OpenSSL names them. */
const curves: readonly (string | undefined)[] = ["prime256v1", "secp384r1", "secp521r1"];
/** The TLS feature `status_request` (RFC 7633): the extension's ID and value, in hex. */
const mustStaple = "06082b0601050507011804053003020105";

function judgePair(chain: string, privateKey: string, staple: Buffer): void {
  const [leaf] = judgeBlocks(chain);
  const [key] = judgeBlocks(privateKey);
  if (leaf === undefined || key === undefined) throw new Error("there is no certificate or no key");
  const certificate = certificateIn(leaf.text);
  if (!certificate.checkPrivateKey(createPrivateKey(key.text))) throw new Error("the key is another one");
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  if (
    type === "rsa"
      ? (details?.modulusLength ?? 0) < 2048
      : type === "ec"
        ? !curves.includes(details?.namedCurve)
        : type !== "ed25519"
  )
    throw new Error(`the key is ${type} ${details?.namedCurve ?? details?.modulusLength}`);
  if (!certificate.subject?.includes("CN=") && !/\b(?:DNS|URI|IP Address):/.test(certificate.subjectAltName ?? ""))
    throw new Error("the certificate has no name");
  if (staple.length > 0) judgeStaple(staple, certificate);
  else if (certificate.raw.toString("hex").includes(mustStaple)) throw new Error("the certificate requires a staple");
}
