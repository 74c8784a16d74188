import type { Secret } from "../../api/kubernetes/index.ts";
import { userError } from "../../base/index.ts";
import type { AuthorityMaterial } from "./certificate-authority.ts";
import { parsedPem, rootsWith, splitPem } from "./root-bundle.ts";

interface SecretKeys {
  readonly certificate: string;
  readonly privateKey: string;
  readonly root: string;
  readonly chain: string;
}

const istioKeys: SecretKeys = {
  certificate: "ca-cert.pem",
  privateKey: "ca-key.pem",
  root: "root-cert.pem",
  chain: "cert-chain.pem",
};
const tlsKeys: SecretKeys = { certificate: "tls.crt", privateKey: "tls.key", root: "ca.crt", chain: "tls.crt" };
const revocationKey = "ca-crl.pem";

/** Does not check the certificates. Throws a user error if a part is missing. */
export function materialOf(secret: Secret): AuthorityMaterial {
  const isTls = secret.data?.[tlsKeys.certificate] !== undefined;
  const keys = isTls ? tlsKeys : istioKeys;
  const certificate = decode(secret, keys.certificate);
  const privateKey = decode(secret, keys.privateKey);
  const root = decode(secret, keys.root);
  const itself = isItsOwnRoot(certificate);
  const missing = [
    certificate === "" ? keys.certificate : "",
    privateKey === "" ? keys.privateKey : "",
    root === "" && !itself ? keys.root : "",
  ].filter((key) => key !== "");
  if (missing.length > 0) {
    throw userError(
      "bad-ca-secret",
      `the secret ${nameOfSecret(secret)} must have ${Object.values(keys).slice(0, 2).join(" and ")}, and ${keys.root} unless it is self-signed; it lacks ${missing.join(", ")}`,
      {
        hint: "add them, or delete the secret so that a new root is created",
      },
    );
  }
  const crl = isTls ? "" : decode(secret, revocationKey);
  return {
    certificate,
    privateKey,
    root: itself ? rootsWith(certificate, root) : root,
    chain: decode(secret, keys.chain),
    ...(crl === "" ? {} : { crl }),
  };
}

/** Whether a control plane made the authority. It is a single certificate then, which is its own root. */
export function isSelfSigned({ certificate, chain }: AuthorityMaterial): boolean {
  return isItsOwnRoot(certificate) && splitPem(chain).length === 0;
}

export function nameOfSecret({ metadata }: Secret): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

function isItsOwnRoot(certificate: string): boolean {
  const parsed = parsedPem(splitPem(certificate)[0] ?? "");
  return parsed?.checkIssued(parsed) === true && parsed.verify(parsed.publicKey);
}

function decode(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? "", "base64").toString();
}
