import { istioKinds } from "../../../api/istio/index.ts";
import type { WhatIfAnswer } from "../../../api/dashboard/index.ts";
import type { KindDefinition } from "../../../api/index.ts";
import { endpointSliceKind, namespaceKind, nodeKind, podKind, serviceKind } from "../../../api/kubernetes/index.ts";
import { SerinError, onAbort, type Clock, type Environment, type Logger } from "../../../base/index.ts";
import type { OverlaidObject } from "../../../kube/index.ts";
import { WhatIf } from "../../../preflight/what-if/index.ts";
import type { Identity } from "../access/identity.ts";
import { refusal } from "../../problem.ts";
import { maxYamlLength, readObjects, writeObject, type WrittenObject } from "./apply-objects.ts";
import { ownOf } from "./kube-requests.ts";
import type { RequestHandler } from "./request-handlers.ts";
import type { ValidateYaml } from "./validate-yaml.ts";
import type { YamlThreads } from "./yaml-threads.ts";

export interface AskWhatIfOptions {
  readonly releaseDirectory: string;
  readonly istioNamespace: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Logger;
  readonly validate: ValidateYaml;
  readonly yaml: { readonly users: YamlThreads };
  readonly ended: AbortSignal;
}

const timeLimitMs = 120_000;
/** The kinds that a control plane needs to become ready. */
const neededKinds: readonly KindDefinition[] = [
  namespaceKind,
  nodeKind,
  podKind,
  serviceKind,
  endpointSliceKind,
  ...istioKinds,
] as readonly KindDefinition[];

/**
 * Finds the proxies whose configuration an object would change. It runs control planes beside the server, for one
 * request at a time.
 */
export function askWhatIf(options: AskWhatIfOptions): RequestHandler<"POST /api/what-if"> {
  const {
    validate,
    ended,
    yaml: { users: threads },
  } = options;
  const whatIf = new WhatIf(options);
  onAbort(ended, () => void whatIf.close());
  let isBusy = false;
  return async (fields, identity, outer): Promise<WhatIfAnswer> => {
    const yaml = fields.requiredText("yaml", maxYamlLength);
    const messages = await validate(yaml, identity);
    if (messages.some(({ level, code }) => level === "Error" && code === ""))
      return { messages, proxies: [], compared: 0, incomplete: "The YAML is not valid: see the messages." };
    const own = ownOf(identity);
    const lacking = await lackingRights(identity);
    if (lacking.length > 0)
      return {
        messages,
        proxies: [],
        compared: 0,
        incomplete: `You need the right to list in all namespaces: ${lacking.join(", ")}. A control plane reads them.`,
      };
    if (isBusy) throw refusal("unavailable", "a what-if of somebody else is running", "try again in a few seconds");
    isBusy = true;
    try {
      const signal = AbortSignal.any([outer, ended, AbortSignal.timeout(timeLimitMs)]);
      const incomplete: string[] = [];
      const objects = await Promise.all(
        (await readObjects(own.client, yaml, threads)).map(
          async (edited) => await asApplied(edited, own.client, incomplete, signal),
        ),
      );
      const report = await whatIf.ask({ client: own.client, kubeConfig: own.config, objects, signal });
      return {
        messages,
        proxies: report.proxies,
        compared: report.compared,
        incomplete: [...new Set([...incomplete, ...report.incomplete])].join(" "),
      };
    } finally {
      isBusy = false;
    }
  };
}

async function lackingRights(identity: Identity): Promise<readonly string[]> {
  const answers = await Promise.all(
    neededKinds.map(async ({ group, plural }) =>
      (await identity.may({ verb: "list", group, resource: plural, namespace: "" }))
        ? []
        : [group === "" ? plural : `${plural}.${group}`],
    ),
  );
  return answers.flat();
}

/** The object that the API server would store, from a dry run. If the user may not apply it, the object itself. */
async function asApplied(
  one: WrittenObject,
  client: Parameters<typeof writeObject>[0],
  incomplete: string[],
  signal: AbortSignal,
): Promise<OverlaidObject> {
  const { kind, object } = one;
  try {
    return {
      kind,
      object: (await writeObject(client, one, { dryRun: true, resourceVersion: "", force: true, signal })).object,
    };
  } catch (error) {
    if (!(error instanceof SerinError) || error.code !== "forbidden") throw error;
    incomplete.push(
      `You may not apply ${kind.plural}: the object is used as it is, without what the API server would add.`,
    );
    const metadata = {
      uid: "what-if",
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...object.metadata,
    };
    return { kind, object: { ...object, metadata } };
  }
}
