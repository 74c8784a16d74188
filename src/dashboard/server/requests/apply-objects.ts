import type { ApplyAnswer } from "../../../api/dashboard/index.ts";
import { keyOf, type KindDefinition, type UntypedObject } from "../../../api/index.ts";
import { messageOf, SerinError, toSerinError, type Clock, type Logger } from "../../../base/index.ts";
import { EventRecorder, resourcePath, type KubeClient } from "../../../kube/index.ts";
import type { AuditLog } from "../audit-log.ts";
import { refusal } from "../../problem.ts";
import { fieldManager } from "./give-order.ts";
import { discoverKind, ownOf, sendToKube, warningsOf } from "./kube-requests.ts";
import type { RequestHandler } from "./request-handlers.ts";
import type { YamlThreads } from "./yaml-threads.ts";

export interface ApplyObjectsOptions {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly yaml: { readonly users: YamlThreads };
}

/** The maximum length of the YAML. Longer texts are refused. */
export const maxYamlLength = 1 << 20;
const maxObjects = 20;
const defaultNamespace = "default";

export interface WrittenObject {
  readonly object: UntypedObject;
  readonly kind: KindDefinition<UntypedObject>;
}

/**
 * Writes the objects of a YAML with the user's own credentials. A new object is written by server-side apply. An edited
 * object, whose `resourceVersion` is given, is replaced. So a field that was deleted in the editor is removed even if
 * somebody else wrote it. If the cluster has another version, the write is a conflict.
 */
export function applyObjects({ audit, clock, log, yaml }: ApplyObjectsOptions): RequestHandler<"POST /api/apply"> {
  return async (fields, identity, signal): Promise<ApplyAnswer> => {
    const { client } = ownOf(identity);
    const [dryRun, resourceVersion] = [fields.flag("dryRun"), fields.text("resourceVersion")];
    const objects = await readObjects(client, fields.requiredText("yaml", maxYamlLength), yaml.users);
    if (resourceVersion !== "" && objects.length !== 1)
      throw refusal("invalid", `one object was edited, and the YAML contains ${objects.length}`);
    const applied: string[] = [];
    const warnings: string[] = [];
    for (const edited of objects) {
      const title = `${edited.kind.kind} ${keyOf(edited.object)}`;
      const what = `apply ${title}`;
      try {
        const written = await writeObject(client, edited, { dryRun, resourceVersion, signal });
        warnings.push(...written.warnings);
        applied.push(title);
        if (dryRun) continue;
        audit.record({ user: identity.user, what, result: "done", detail: "" });
        new EventRecorder({ client, component: fieldManager, log, clock }).record(edited.kind, written.object, {
          type: "Normal",
          reason: "Applied",
          message: `applied by ${identity.user}`,
        });
      } catch (error) {
        if (!dryRun) audit.record({ user: identity.user, what, result: "refused", detail: messageOf(error) });
        throw dryRun || applied.length === 0 ? error : afterOthers(error, title, applied);
      }
    }
    return { applied, warnings };
  };
}

/** The error that names the objects that were written before a refusal, because these are not reverted. */
function afterOthers(error: unknown, title: string, applied: readonly string[]): SerinError {
  const { kind, code, message, hint } = toSerinError(error);
  return new SerinError(kind, code, `${title}: ${message} (applied before it: ${applied.join(", ")})`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Parses the YAML's objects and their kinds. Throws `invalid` with the line of the fault. */
export async function readObjects(
  client: KubeClient,
  yaml: string,
  threads: YamlThreads,
): Promise<readonly WrittenObject[]> {
  const { resources, faults } = await threads.read(yaml);
  const [fault] = faults;
  if (fault !== undefined)
    throw refusal("invalid", `${fault.position === undefined ? "" : `line ${fault.position.line}: `}${fault.message}`);
  if (resources.length === 0) throw refusal("invalid", "the YAML contains no object");
  if (resources.length > maxObjects)
    throw refusal(
      "invalid",
      `at most ${maxObjects} objects at once, got ${resources.length}`,
      "kubectl apply -f takes more",
    );
  return await Promise.all(
    resources.map(async ({ object }) => {
      const kind = await discoverKind(client, object);
      return { kind, object: ofNamespace(object, kind) };
    }),
  );
}

/** Removes fields that only the server writes, and sets the default namespace if the kind needs one. */
function ofNamespace(object: UntypedObject, kind: KindDefinition<UntypedObject>): UntypedObject {
  const {
    managedFields: _managed,
    namespace,
    ...metadata
  } = object.metadata as UntypedObject["metadata"] & { managedFields?: unknown };
  return {
    ...object,
    metadata: kind.namespaced ? { ...metadata, namespace: namespace ?? defaultNamespace } : metadata,
  };
}

interface WriteObjectOptions {
  readonly dryRun: boolean;
  /** The version to replace. If empty, apply the object instead. */
  readonly resourceVersion: string;
  /** Whether to take over fields of other writers. */
  readonly force?: boolean;
  readonly signal: AbortSignal;
}

export async function writeObject(
  client: KubeClient,
  { object, kind }: WrittenObject,
  { dryRun, resourceVersion, force = false, signal }: WriteObjectOptions,
): Promise<{ readonly object: UntypedObject; readonly warnings: readonly string[] }> {
  const query = new URLSearchParams({ fieldManager, ...(dryRun ? { dryRun: "All" } : {}) });
  const { name, namespace } = object.metadata;
  if (name === undefined) throw refusal("invalid", `${kind.kind}: metadata.name is missing`);
  const path = resourcePath(kind, namespace, name);
  const { resourceVersion: _version, ...metadata } = object.metadata;
  const answer =
    resourceVersion === ""
      ? await sendToKube(client, "PATCH", `${path}?${query.toString()}${force ? "&force=true" : ""}`, {
          body: { ...object, metadata },
          contentType: "application/apply-patch+yaml",
          signal,
        })
      : await sendToKube(client, "PUT", `${path}?${query.toString()}`, {
          body: { ...object, metadata: { ...metadata, resourceVersion } },
          signal,
        });
  return { object: JSON.parse(answer.text) as UntypedObject, warnings: warningsOf(answer) };
}
