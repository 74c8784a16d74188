// Secrets and ConfigMaps of an attacker, which gateways and policies name.
import { systemClock } from "../../src/base/index.ts";
import { createSelfSignedAuthority } from "../../src/controlplane/ca/index.ts";
import type { StructuralSchema } from "../../src/cluster/schema/crd/structural-schema.ts";
import type { AttackerKind } from "./built-in-kinds.ts";

const [one, two] = await Promise.all([
  createSelfSignedAuthority("one", systemClock),
  createSelfSignedAuthority("two", systemClock),
]);

/** The names that both the victims' and the attacker's Secrets have. */
export const secretNames = ["shop-cert", "shop-cert-cacert", "web", "api"] as const;

const emptyList = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
const certificates = [
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
const keys = [one.privateKey, two.privateKey, one.privateKey + two.privateKey, one.certificate, "x", ""];
const lists = ["", "x", emptyList, one.certificate, `-----BEGIN X509 CRL-----\n`];

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

/** Kinds that the control plane reads by the names that other objects give. */
export const referencedKinds: readonly AttackerKind[] = [
  {
    group: "",
    version: "v1",
    kind: "Secret",
    schema: fields({
      "tls.crt": texts(certificates, inBase64),
      "tls.key": texts(keys, inBase64),
      "tls.ocsp-staple": texts(["AAAA", "0\u0003\n\u0001\u0000"], inBase64),
      ...roots(inBase64),
    }),
  },
  { group: "", version: "v1", kind: "ConfigMap", schema: fields(roots(asIs)) },
];

/** The certificate of a victim's gateway. */
export const victimSecret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name: "shop-cert" },
  data: { "tls.crt": inBase64(one.certificate), "tls.key": inBase64(one.privateKey) },
};
