// Signs certificate requests with the cluster's authority. Loaded with the first approved request.
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { CertificateSigningRequest } from "../../../api/kubernetes/index.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyIdentifierOf,
  keyUsage,
  readIssuer,
  subjectKeyIdentifier,
  X509Signer,
} from "../../../x509/index.ts";
import { readCertificateRequest, type CertificateRequestParts } from "../../auth/certificate-request.ts";

/** The authority's certificate and key, in PEM. */
export interface SigningAuthority {
  readonly certificate: string;
  readonly key: string;
}

/** Thrown if the signer may not sign the request. The message goes into the condition `Failed`. */
export class SignerRefusal extends Error {}

interface Signer {
  readonly usage: "client" | "server";
  readonly check: (request: CertificateRequestParts) => string | undefined;
}

const signers: Readonly<Record<string, Signer>> = {
  "kubernetes.io/kube-apiserver-client": { usage: "client", check: () => undefined },
  "kubernetes.io/kube-apiserver-client-kubelet": {
    usage: "client",
    check: (request) =>
      faultOfNode(request) ??
      (request.alternatives.length > 0 ? "subject alternative names are not allowed" : undefined),
  },
  "kubernetes.io/kubelet-serving": {
    usage: "server",
    check: (request) => {
      const { alternatives } = request;
      if (alternatives.includes("email")) return "Email subjectAltNames are not allowed";
      if (alternatives.includes("uri")) return "URI subjectAltNames are not allowed";
      return (
        faultOfNode(request) ??
        (alternatives.some((kind) => kind === "dns" || kind === "ip")
          ? undefined
          : "DNS or IP subjectAltName is required")
      );
    },
  },
};

const usageNames = { client: "client auth", server: "server auth" } as const;
const maxValidityMs = 365 * 86_400_000;
const skewMs = 300_000;

/** The certificate in PEM, with the request's subject and names. Throws {@link SignerRefusal}. */
export function signRequest(
  spec: NonNullable<CertificateSigningRequest["spec"]>,
  authority: SigningAuthority,
  nowMs: number,
): string {
  const signer = signers[spec.signerName];
  if (signer === undefined) throw new SignerRefusal(`no signer ${spec.signerName}`);
  const request = readCertificateRequest(Buffer.from(spec.request, "base64").toString("utf8"));
  const fault = faultOfUsages(signer, spec.usages ?? []) ?? signer.check(request);
  if (fault !== undefined) throw new SignerRefusal(fault);
  const certificate = new X509Certificate(authority.certificate);
  const issuer = readIssuer(certificate.raw);
  const validityMs =
    spec.expirationSeconds === undefined ? maxValidityMs : Math.min(maxValidityMs, spec.expirationSeconds * 1_000);
  const uses = (spec.usages ?? []).includes("key encipherment")
    ? (["digitalSignature", "keyEncipherment"] as const)
    : (["digitalSignature"] as const);
  const publicKey = createPublicKey({ key: request.publicKey, format: "der", type: "spki" });
  return new X509Signer(createPrivateKey(authority.key)).certificate({
    issuer: issuer.subject,
    subject: request.subject,
    publicKey: request.publicKey,
    notBeforeMs: nowMs - skewMs,
    notAfterMs: Math.min(nowMs + validityMs, Date.parse(certificate.validTo)),
    extensions: [
      keyUsage(...uses),
      extendedKeyUsage(signer.usage),
      basicConstraints("leaf"),
      subjectKeyIdentifier(keyIdentifierOf(publicKey)),
      ...(issuer.keyIdentifier === undefined ? [] : [authorityKeyIdentifier(issuer.keyIdentifier)]),
      ...(request.subjectAltName === undefined ? [] : [request.subjectAltName]),
    ],
  });
}

function faultOfUsages({ usage }: Signer, usages: readonly string[]): string | undefined {
  const needed = usageNames[usage];
  if (!usages.includes(needed)) return `usages did not include "${needed}"`;
  const allowed = ["digital signature", "key encipherment", needed];
  const other = usages.find((usage) => !allowed.includes(usage));
  return other === undefined ? undefined : `usage "${other}" is not allowed`;
}

function faultOfNode({ commonName, organizations }: CertificateRequestParts): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== "system:nodes")
    return "subject organization is not system:nodes";
  return commonName.startsWith("system:node:") ? undefined : "subject common name does not begin with system:node:";
}
