// The secrets that Envoy accepts, as far as OpenSSL has the same rules.
import { createSecureContext } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { SecretSchema, type DataSource } from "../../src/wire/envoy/index.ts";

/** Returns why Envoy rejects a certificate with its key, or roots with their revocation lists. */
export function secretFaults({ name, any }: EncodedResource): string[] {
  const { type } = fromBinary(SecretSchema, fromBinary(AnySchema, any).value);
  try {
    if (type.case === "tlsCertificate")
      createSecureContext({ cert: textOf(type.value.certificateChain), key: textOf(type.value.privateKey) });
    else if (type.case === "validationContext") {
      const crl = textOf(type.value.crl).match(/-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g) ?? [];
      createSecureContext({ ca: textOf(type.value.trustedCa), crl: [...crl] });
    }
    return [];
  } catch (error) {
    return [`${name}: ${String(error)}`];
  }
}

function textOf(source: DataSource | undefined): string {
  const specifier = source?.specifier;
  if (specifier?.case === "inlineBytes") return Buffer.from(specifier.value).toString("utf8");
  return specifier?.value ?? "";
}
