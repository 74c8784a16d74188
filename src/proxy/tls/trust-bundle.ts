import { X509Certificate } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { certificateFingerprint, messageOf, userError } from "../../base/index.ts";
import { type CertificateManager, type TrustedRoot, type XdsSubscription } from "../../dataplane/index.ts";
import { ProxyConfigSchema } from "../../wire/discovery/index.ts";
import { trustDomainsPrefix, typeUrls } from "../../wire/xds/index.ts";

/** The maximum number of roots in one bundle, because each makes handshakes more expensive. */
const maxRoots = 256;

/**
 * Receives the roots that the control plane sends in addition to those that come with certificates (Istio's PCDS, with
 * PROXY_CONFIG_XDS_AGENT).
 */
export function trustBundleSubscription(certificates: Pick<CertificateManager, "trustBesides">): XdsSubscription {
  return {
    typeUrl: typeUrls.proxyConfig,
    mode: "wildcard",
    apply: ({ resources }) => {
      // The type has one resource, which has no name and replaces the previous one. If it is removed, the roots stay,
      // as in upstream's agent.
      const last = resources.at(-1);
      if (last === undefined) return;
      const { caCertificatesPem, proxyMetadata } = fromBinary(ProxyConfigSchema, last.body);
      if (caCertificatesPem.length > maxRoots)
        throw userError(
          "config-rejected",
          `the trust bundle has ${caCertificatesPem.length} roots, at most ${maxRoots} are allowed`,
        );
      certificates.trustBesides(caCertificatesPem.map((pem, index) => readRoot(pem, index, proxyMetadata)));
    },
  };
}

/**
 * Reads a root, and converts its PEM to a canonical form.
 *
 * The bundle has no field for the trust domains of a root. So Serin's control plane writes these domains into the
 * metadata, keyed by the root's fingerprint. Upstream's agents ignore them there.
 */
function readRoot(pem: string, index: number, metadata: Readonly<Record<string, string>>): TrustedRoot {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw userError(
      "config-rejected",
      `root ${index} of the trust bundle is not a certificate in PEM: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const domains = metadata[`${trustDomainsPrefix}${certificateFingerprint(certificate)}`];
  return { pem: certificate.toString(), trustDomains: domains?.split(",") };
}
