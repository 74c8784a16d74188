import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { transientError } from "../../base/index.ts";
import { secretKind, serviceKind } from "../../api/kubernetes/index.ts";
import { secretPath, type SecretPathPurpose } from "../../api/serin/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

const secretName = "serin-rollout-author";
/** The Secret is owned by this Service, so that both are deleted together. */
const serviceName = "serin-rollout";
const keyBytes = 32;

const labels: Readonly<Record<SecretPathPurpose, string>> = {
  author: "path of the webhook",
  review: "path of reviews",
};

/** The key that signs authors. All engines share it through a Secret, which the first engine creates. */
export class AuthorKey {
  readonly #client: KubeClient;
  readonly #namespace: string;
  #key: Promise<Buffer> | undefined;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  async get(): Promise<Buffer> {
    this.#key ??= this.#load().catch((error: unknown) => {
      this.#key = undefined;
      throw error;
    });
    return await this.#key;
  }

  /**
   * The secret path to which the API server sends requests for the author, or for a review with the writer's rights.
   * Without the secret, any client of the port could obtain a signature for any author, or find out anybody's rights.
   * The path is in the webhook's configuration, which only users with that right can read.
   */
  async path(purpose: SecretPathPurpose): Promise<string> {
    return secretPath(
      purpose,
      createHmac("sha256", await this.get())
        .update(labels[purpose])
        .digest("hex"),
    );
  }

  async isPath(purpose: SecretPathPurpose, path: string): Promise<boolean> {
    const [shown, expected] = [Buffer.from(path), Buffer.from(await this.path(purpose))];
    return shown.length === expected.length && timingSafeEqual(shown, expected);
  }

  async #load(): Promise<Buffer> {
    const found = await this.#read();
    if (found !== undefined) return found;
    const service = await this.#client.get(serviceKind, serviceName, this.#namespace);
    if (service === undefined)
      throw transientError("object-missing", `there is no Service ${this.#namespace}/${serviceName} to make a key for`);
    const ownerReferences = [{ apiVersion: "v1", kind: "Service", name: serviceName, uid: service.metadata.uid ?? "" }];
    try {
      await this.#client.create(secretKind, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: secretName, namespace: this.#namespace, ownerReferences },
        type: "Opaque",
        data: { key: randomBytes(keyBytes).toString("base64") },
      });
    } catch (error) {
      // Another engine has created the Secret first.
      if (!isKubeCode(error, "already-exists")) throw error;
    }
    const made = await this.#read();
    if (made === undefined)
      throw transientError("author-key", `Secret ${this.#namespace}/${secretName} has no key of ${keyBytes} bytes`);
    return made;
  }

  async #read(): Promise<Buffer | undefined> {
    const secret = await this.#client.get(secretKind, secretName, this.#namespace);
    const key = Buffer.from(secret?.data?.["key"] ?? "", "base64");
    return key.length === keyBytes ? key : undefined;
  }
}
