import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../wire/discovery/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * The trust bundle for agents: the only resource of its type, without a name. Each item of `roots` is one certificate
 * in PEM.
 */
export function trustBundle(roots: readonly string[]): EncodedResource {
  return encodeResource(
    ProxyConfigSchema,
    "",
    create(ProxyConfigSchema, { caCertificatesPem: [...new Set(roots)].toSorted() }),
  );
}
