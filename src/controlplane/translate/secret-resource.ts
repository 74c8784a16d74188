import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../../wire/envoy/index.ts";
import type { SecretFacts, SecretReference } from "../model/secret-facts.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

const bytes = (text: string) => ({
  specifier: { case: "inlineBytes" as const, value: new TextEncoder().encode(text) },
});

/** The secret in the form in which a proxy requests it. Undefined while the secret lacks what this form needs. */
export function secretResource(
  resource: string,
  secret: SecretFacts,
  { part, isServer = false }: Pick<SecretReference, "part" | "isServer">,
): EncodedResource | undefined {
  if (part === "authority") return rootsResource(resource, secret.authority);
  if ("fault" in secret.keyPair) return undefined;
  const { certificateChain, privateKey, ocspStaple, serverFault } = secret.keyPair.value;
  if (isServer && serverFault !== undefined) return undefined;
  const staple =
    ocspStaple === undefined
      ? {}
      : {
          ocspStaple: {
            specifier: { case: "inlineBytes" as const, value: new Uint8Array(Buffer.from(ocspStaple, "base64")) },
          },
        };
  const value = { certificateChain: bytes(certificateChain), privateKey: bytes(privateKey), ...staple };
  return encodeResource(
    SecretSchema,
    resource,
    create(SecretSchema, { name: resource, type: { case: "tlsCertificate", value } }),
  );
}

/** The roots under the name by which proxies request them. Undefined while there are no valid ones. */
export function rootsResource(resource: string, authority: SecretFacts["authority"]): EncodedResource | undefined {
  if ("fault" in authority) return undefined;
  const { certificates, revocations } = authority.value;
  const value = { trustedCa: bytes(certificates), ...(revocations === undefined ? {} : { crl: bytes(revocations) }) };
  return encodeResource(
    SecretSchema,
    resource,
    create(SecretSchema, { name: resource, type: { case: "validationContext", value } }),
  );
}
