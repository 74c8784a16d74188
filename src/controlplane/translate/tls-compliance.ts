import type { MessageInitShape } from "@bufbuild/protobuf";
import { approvedCiphers, approvedCurves, type CompliancePolicy } from "../../base/compliance/index.ts";
import {
  TlsParameters_CompliancePolicy,
  TlsParameters_TlsProtocol,
  type TlsParametersSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";

type TlsParametersInit = Exclude<MessageInitShape<typeof TlsParametersSchema>, { $typeName: string }>;

/**
 * The field `tlsParams` of a TLS context: the wanted parameters within the limits of the control plane's compliance
 * policy.
 */
export function tlsParameters(
  { compliance }: Pick<MeshSettings, "compliance">,
  wanted?: TlsParametersInit,
): { readonly tlsParams?: TlsParametersInit } {
  if (compliance !== undefined) return { tlsParams: { ...wanted, ...limitsOf(compliance, wanted ?? {}) } };
  return wanted === undefined ? {} : { tlsParams: wanted };
}

/**
 * The limits that a compliance policy sets. For FIPS 140-2, upstream leaves ciphers and curves unset, because an Envoy
 * that is built for FIPS has no others. Serin always names them, because other proxies support more.
 */
function limitsOf(policy: CompliancePolicy, wanted: TlsParametersInit): TlsParametersInit {
  const { TLSv1_2, TLSv1_3, TLS_AUTO } = TlsParameters_TlsProtocol;
  switch (policy) {
    case "fips-140-2": {
      const ciphers = approvedCiphers.filter((name) => wanted.cipherSuites?.includes(name));
      return {
        tlsMinimumProtocolVersion: TLSv1_2,
        tlsMaximumProtocolVersion: TLSv1_2,
        cipherSuites: [...(ciphers.length === 0 ? approvedCiphers : ciphers)],
        ecdhCurves: [...approvedCurves[policy]],
      };
    }
    case "fips-140-3":
      return { compliancePolicies: [TlsParameters_CompliancePolicy.FIPS_202205] };
    case "pqc":
      return {
        tlsMinimumProtocolVersion: TLSv1_3,
        // If a server has set a lower maximum version, raise it, because otherwise no version would be left.
        ...((wanted.tlsMaximumProtocolVersion ?? TLS_AUTO) === TLS_AUTO ? {} : { tlsMaximumProtocolVersion: TLSv1_3 }),
        cipherSuites: [...approvedCiphers],
        ecdhCurves: [...approvedCurves[policy]],
      };
  }
}
