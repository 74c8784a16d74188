import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import { userError, type Clock, type Logger } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { createSelfSignedAuthority, type AuthorityMaterial } from "./certificate-authority.ts";

const pluggedInName = "cacerts";
const selfSignedName = "istio-ca-secret";

export interface AuthoritySecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The authority that all revisions share: the secret `cacerts` if a user has plugged one in, else `istio-ca-secret`, made
 * if it is not there: of `known`, so that a lost secret does not change the root of a mesh that runs. Several control
 * planes may start at once: the first to create it wins, the others adopt it.
 */
export async function loadOrCreateAuthority({ client, namespace, trustDomain, clock, log }: AuthoritySecretOptions, known?: AuthorityMaterial): Promise<AuthorityMaterial> {
  const pluggedIn = await client.get(secretKind, pluggedInName, namespace);
  if (pluggedIn !== undefined) return materialOf(pluggedIn);
  const selfSigned = await client.get(secretKind, selfSignedName, namespace);
  if (selfSigned !== undefined) return materialOf(selfSigned);
  const made = known ?? (await createSelfSignedAuthority(trustDomain, clock));
  try {
    await client.create(secretKind, {
      metadata: { name: selfSignedName, namespace },
      type: "istio.io/ca-root",
      data: {
        "ca-cert.pem": encode(made.certificate),
        "ca-key.pem": encode(made.privateKey),
        "cert-chain.pem": encode(made.chain),
        "key.pem": "",
        "root-cert.pem": made.root === made.certificate ? "" : encode(made.root),
      },
    });
    log.info(known === undefined ? "made a self-signed root" : "wrote the mesh's root down again", { secret: `${namespace}/${selfSignedName}` });
    return made;
  } catch (error) {
    if (!isKubeCode(error, "already-exists")) throw error;
    const winner = await client.get(secretKind, selfSignedName, namespace);
    if (winner === undefined) throw error;
    return materialOf(winner);
  }
}

function materialOf(secret: Secret): AuthorityMaterial {
  const certificate = decode(secret, "ca-cert.pem");
  const privateKey = decode(secret, "ca-key.pem");
  if (certificate === "" || privateKey === "") {
    const name = `${secret.metadata.namespace ?? ""}/${secret.metadata.name ?? ""}`;
    throw userError("bad-ca-secret", `the secret ${name} must hold ca-cert.pem and ca-key.pem`, { hint: "fill them, or delete the secret to have a new root made" });
  }
  const root = decode(secret, "root-cert.pem");
  return { certificate, privateKey, root: root === "" ? certificate : root, chain: decode(secret, "cert-chain.pem") };
}

function decode(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? "", "base64").toString();
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}
