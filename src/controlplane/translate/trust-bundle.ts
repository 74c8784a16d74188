import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../wire/discovery/index.ts";
import { trustDomainsPrefix } from "../../wire/xds/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

export interface BundleRoot {
  readonly pem: string;
  /** The SHA-256 of the root's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** The trust domains that the root may sign for. Undefined means all. */
  readonly trustDomains: readonly string[] | undefined;
}

/**
 * The trust bundle for agents, the only resource of its type, without a name. Each item of `caCertificatesPem` is one
 * certificate in PEM. The type has no field for trust domains, so the metadata names those of restricted roots by the
 * roots' fingerprints.
 */
export function trustBundle(roots: readonly BundleRoot[]): EncodedResource {
  const restricted = roots.flatMap(({ fingerprint, trustDomains }) =>
    trustDomains === undefined ? [] : [[`${trustDomainsPrefix}${fingerprint}`, trustDomains.join(",")] as const],
  );
  return encodeResource(
    ProxyConfigSchema,
    "",
    create(ProxyConfigSchema, {
      caCertificatesPem: [...new Set(roots.map(({ pem }) => pem))].toSorted(),
      proxyMetadata: Object.fromEntries(restricted.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    }),
  );
}
