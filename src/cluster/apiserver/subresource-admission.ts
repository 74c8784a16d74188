// Admission of requests whose object is not stored: evictions, bindings, tokens, streams to pods, and proxied requests.
import type { UntypedObject } from "../../api/index.ts";
import type { AdmissionRequest } from "../admission/index.ts";
import { apiVersionOf, type SubresourceType } from "../schema/contract.ts";
import type { ResourceContext, ServerParts } from "./context.ts";
import { isTrue } from "./request-info.ts";
import { intentOf } from "./write.ts";
import { admissionRequest, type WriteIntent } from "./writer.ts";

/**
 * Runs admission for the creation of an object that is not stored. Returns the object with the changes of webhooks.
 * Throws if admission refuses the object.
 */
export async function admitCreation(
  parts: ServerParts,
  context: ResourceContext,
  sent: UntypedObject,
  more: Partial<WriteIntent> = {},
): Promise<UntypedObject> {
  const { info, type } = context;
  const kind = subresourceOf(context) ?? type;
  const object = { ...sent, kind: kind.kind, apiVersion: apiVersionOf(kind) };
  const name = info.name === "" ? (object.metadata.name ?? "") : info.name;
  return await admit(
    parts,
    context,
    admissionRequest("CREATE", intentOf(context, "CreateOptions", more), object, undefined, name),
  );
}

/** Throws if admission refuses a stream or a proxied request (CONNECT). */
export async function admitConnection(parts: ServerParts, context: ResourceContext): Promise<void> {
  const kind = subresourceOf(context);
  // A request for a log counts as a read, and reads have no admission.
  if (kind === undefined || context.info.subresource === "log") return;
  const object = { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata: {}, ...streamOptions(context) };
  const intent = intentOf(context, "CreateOptions", { dryRun: false });
  const request = admissionRequest("CONNECT", intent, object, undefined, context.info.name);
  await admit(parts, context, { ...request, options: null });
}

async function admit(parts: ServerParts, context: ResourceContext, made: AdmissionRequest): Promise<UntypedObject> {
  const kind = subresourceOf(context);
  const objectKind = kind === undefined ? undefined : { group: kind.group, version: kind.version, kind: kind.kind };
  const request: AdmissionRequest = objectKind === undefined ? made : { ...made, objectKind };
  await parts.admission.mutate(request);
  // A webhook's patch may have removed the metadata.
  if (request.object !== undefined) request.object.metadata ??= {};
  await parts.admission.validate(request);
  return request.object ?? { metadata: {} };
}

function subresourceOf({ info, type }: ResourceContext): SubresourceType | undefined {
  return type.subresources.find(({ name }) => name === info.subresource);
}

/** The options of a stream as an object: PodExecOptions, PodAttachOptions and so on. */
function streamOptions({ info, query }: ResourceContext): Readonly<Record<string, unknown>> {
  if (info.subresource === "proxy") return { path: info.rest };
  if (info.subresource === "portforward") {
    const ports = query.getAll("ports").map(Number).filter(Number.isInteger);
    return ports.length === 0 ? {} : { ports };
  }
  const flags = ["stdin", "stdout", "stderr", "tty"].filter((name) => query.has(name) && isTrue(query.get(name)));
  const container = query.get("container") ?? "";
  return {
    ...Object.fromEntries(flags.map((name) => [name, true])),
    ...(container === "" ? {} : { container }),
    ...(info.subresource === "exec" ? { command: query.getAll("command") } : {}),
  };
}
