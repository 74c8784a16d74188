import { X509Certificate } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../wire/discovery/index.ts";
import { trustDomainsPrefix } from "../../wire/xds/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** A root in PEM. Undefined: it may sign for all trust domains. */
export interface BundleRoot {
  readonly pem: string;
  readonly trustDomains: readonly string[] | undefined;
}

/**
 * The trust bundle for agents: the only resource of its type, without a name. Each item of `caCertificatesPem` is one
 * certificate in PEM. The metadata names the trust domains of restricted roots by the SHA-256 of their DER, because the
 * type has no field for them.
 */
export function trustBundle(roots: readonly BundleRoot[]): EncodedResource {
  const restricted = roots.flatMap(({ pem, trustDomains }) =>
    trustDomains === undefined ? [] : [[`${trustDomainsPrefix}${fingerprintOf(pem)}`, trustDomains.join(",")] as const],
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

function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}
