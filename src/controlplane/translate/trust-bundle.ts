import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../wire/discovery/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** What agents are told to trust, as the one resource of its type, which has no name; `roots` in PEM, one certificate each. */
export function trustBundle(roots: readonly string[]): EncodedResource {
  return encodeResource(
    ProxyConfigSchema,
    "",
    create(ProxyConfigSchema, { caCertificatesPem: [...new Set(roots)].toSorted() }),
  );
}
