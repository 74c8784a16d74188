// An attacker's Secrets and ConfigMaps, which gateways and policies name.
import { systemClock } from "../../src/base/index.ts";
import { createSelfSignedAuthority } from "../../src/controlplane/ca/index.ts";
import type { StructuralSchema } from "../../src/cluster/schema/crd/structural-schema.ts";
import { TestAuthority } from "../../src/net/testing/index.ts";
import type { AttackerKind } from "./built-in-kinds.ts";
import { rarePair, revocationList, shortPair, stapledPair, staples, type Pair } from "./odd-certificates.ts";

async function pairFor(dns: string): Promise<Pair> {
  const { certificateChain, privateKey } = await (await TestAuthority.create()).issue({ dns });
  return { certificate: `${certificateChain}\n`, privateKey };
}

const [one, two] = [await pairFor("one.example.com"), await pairFor("two.example.com")];
/** Its subject has an organization, but no common name, and it has no alternative name. */
const namelessPair: Pair = await createSelfSignedAuthority("nameless", systemClock);

/** The victims and the attacker use the same names. */
export const secretNames = ["shop-cert", "shop-cert-cacert", "web", "api"] as const;

const emptyList = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
/** Blocks for which an Envoy rejects the whole text. */
const faultyBlocks = [
  "-----BEGIN FOO-----\nAAAA\n",
  "-----BEGIN FOO-----\nAAAA\n-----END BAR-----\n",
  "-----BEGIN FOO-----\n!!!!\n-----END FOO-----\n",
  "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
  "-----BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n",
  "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
  emptyList,
];
export const certificates = [
  namelessPair.certificate,
  shortPair.certificate,
  rarePair.certificate,
  stapledPair.certificate,
  ...faultyBlocks.map((block) => one.certificate + block),
  ...faultyBlocks.map((block) => block + one.certificate),
  one.certificate,
  two.certificate,
  one.certificate + two.certificate,
  one.certificate.replaceAll("M", "!"),
  `${one.certificate}-----BEGIN CERTIFICATE-----\nAAAA`,
  `${one.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  one.certificate.replaceAll("\n", "\r\n"),
  one.certificate.repeat(200),
  "a".repeat(100_000),
  "",
  "\u0000",
];
export const keys = [
  namelessPair.privateKey,
  shortPair.privateKey,
  rarePair.privateKey,
  stapledPair.privateKey,
  ...faultyBlocks.map((block) => block + one.privateKey),
  one.privateKey,
  two.privateKey,
  one.privateKey + two.privateKey,
  one.certificate,
  "x",
  "",
];
export const lists = [
  revocationList,
  ...faultyBlocks.map((block) => revocationList + block),
  "",
  "x",
  emptyList,
  one.certificate,
  `-----BEGIN X509 CRL-----\n`,
];

export const attackerStaples = [...Object.values(staples), "AAAA", "MAMKAQA="];

const texts = (values: readonly string[], encode: (text: string) => string): StructuralSchema => ({
  type: "string",
  enum: values.map(encode),
});
const inBase64 = (text: string): string => Buffer.from(text).toString("base64");
const asIs = (text: string): string => text;

const fields = (properties: Readonly<Record<string, StructuralSchema>>): StructuralSchema => ({
  type: "object",
  properties: { data: { type: "object", properties } },
  required: ["data"],
});
const roots = (encode: (text: string) => string): Readonly<Record<string, StructuralSchema>> => ({
  "ca.crt": texts(certificates, encode),
  cacert: texts(certificates, encode),
  "ca.crl": texts(lists, encode),
});

/** The control plane reads objects of these kinds only if others name them. */
export const referencedKinds: readonly AttackerKind[] = [
  {
    group: "",
    version: "v1",
    kind: "Secret",
    schema: fields({
      "tls.crt": texts(certificates, inBase64),
      "tls.key": texts(keys, inBase64),
      "tls.ocsp-staple": texts(attackerStaples, asIs),
      ...roots(inBase64),
    }),
  },
  { group: "", version: "v1", kind: "ConfigMap", schema: fields(roots(asIs)) },
];

export const victimSecret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name: "shop-cert" },
  data: { "tls.crt": inBase64(one.certificate), "tls.key": inBase64(one.privateKey) },
};
