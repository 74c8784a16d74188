import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { Collection, KubeClient, SourceCollection } from "../../kube/index.ts";
import type { PullSecretFacts } from "../model/extension-inputs.ts";
import { NamedObjects, type ObjectName } from "./named-objects.ts";

export interface PullSecretIngestOptions {
  readonly client: KubeClient;
  readonly references: readonly Collection<ObjectName>[];
  readonly pullSecrets: SourceCollection<PullSecretFacts>;
  readonly clock: Clock;
  readonly log: Logger;
}

const wantedType = "kubernetes.io/dockerconfigjson";
const wantedKey = ".dockerconfigjson";

/** Reads only the pull secrets that plugins name for their images. */
export class PullSecretIngest {
  readonly #objects: NamedObjects<Secret>;

  constructor({ client, references, pullSecrets, clock, log }: PullSecretIngestOptions) {
    this.#objects = new NamedObjects({
      client,
      kind: secretKind,
      references,
      take: ({ namespace, name }, secret) => {
        const facts = secret === undefined ? { config: "", fault: "there is no such secret" } : pullSecretFacts(secret);
        pullSecrets.set(`${namespace}/${name}`, facts);
        if (facts.fault !== undefined)
          log.warn("a plugin's image is pulled without its secret", {
            secret: `${namespace}/${name}`,
            fault: facts.fault,
          });
      },
      forget: (key) => pullSecrets.delete(key),
      knownAbsent: (key) => pullSecrets.get(key)?.config === "",
      clock,
      log,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#objects.run(signal);
  }
}

function pullSecretFacts({ type, data }: Secret): PullSecretFacts {
  if (type !== wantedType) return { config: "", fault: `its type must be ${wantedType}, got "${type ?? ""}"` };
  const config = Buffer.from(data?.[wantedKey] ?? "", "base64").toString("utf8");
  return config === "" ? { config, fault: `it must have the key ${wantedKey}` } : { config };
}
