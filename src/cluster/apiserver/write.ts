import type { UntypedObject } from "../../api/index.ts";
import type { UntypedOptions } from "../admission/index.ts";
import { serverUser } from "../auth/index.ts";
import { apiVersionOf, SchemaFault, type ResourceType } from "../schema/contract.ts";
import { cloneJson, isObject, wellFormedJson } from "../schema/json.ts";
import { checkValue, decodeObject, maximumFieldFaults, mediaTypeOf, parseYaml, readBody } from "./body.ts";
import { authorize, includeObjectOf, nowText, sendForm, type ResourceContext, type ServerParts } from "./context.ts";
import { answerFormOf } from "./negotiate.ts";
import { checkWriteOptions, wantsDryRun } from "./options.ts";
import { scaleOf, withScale } from "./scale.ts";
import { ApiError, badRequest, conflict, invalid, notFound } from "./status.ts";
import { isCreatedByUpdate, isReplacedByVersion } from "./strategies.ts";
import { dropEmptyMetadata, otherName, type Writer, type WriteIntent, type Written } from "./writer.ts";

export function intentOf(context: ResourceContext, optionsKind: string, extra: Partial<WriteIntent> = {}): WriteIntent {
  const { info, query, request, type, user, warnings } = context;
  const dryRun = wantsDryRun(query);
  const manager = query.get("fieldManager") || (request.headers["user-agent"] ?? "unknown").split("/")[0] || "unknown";
  const options: UntypedOptions = {
    kind: optionsKind,
    apiVersion: "meta.k8s.io/v1",
    ...(dryRun ? { dryRun: ["All"] } : {}),
    ...(query.get("fieldManager") ? { fieldManager: manager } : {}),
    ...(query.get("fieldValidation") ? { fieldValidation: query.get("fieldValidation") } : {}),
  };
  const namespace = type.namespaced ? info.namespace : "";
  return {
    user,
    type,
    namespace,
    subresource: info.subresource,
    manager: manager.slice(0, 128),
    dryRun,
    options,
    warnings,
    ...extra,
  };
}

export function serverIntent(type: ResourceType, namespace: string, subresource = ""): WriteIntent {
  return {
    user: serverUser,
    type,
    namespace,
    subresource,
    manager: "kube-apiserver",
    dryRun: false,
    options: { kind: "UpdateOptions", apiVersion: "meta.k8s.io/v1" },
    warnings: [],
  };
}

export async function createObject(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const form = answerFormOf(context.request.headers.accept);
  checkWriteOptions(context.query, "CreateOptions");
  const { object, duplicates } = await decodeObject(
    await readBody(context.request),
    context.request.headers["content-type"],
    parts.registry,
  );
  checkFields(parts, context, object, duplicates);
  const written = await writer.create(intentOf(context, "CreateOptions"), object);
  await answer(parts, context, written, form);
}

export async function updateObject(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const form = answerFormOf(context.request.headers.accept);
  const { info, type } = context;
  checkWriteOptions(context.query, "UpdateOptions");
  const { object, duplicates } = await decodeObject(
    await readBody(context.request),
    context.request.headers["content-type"],
    parts.registry,
  );
  const intent = intentOf(context, "UpdateOptions");
  if ((object.metadata.name ?? "") === "")
    throw badRequest(`the name of the object (${info.name} based on URL) was undeterminable: name must be provided`);
  const pinned = (object.metadata.resourceVersion ?? "") !== "";
  const onConflict = pinned ? "refuse" : "retry";
  if (info.subresource === "scale") {
    const written = await writer.update(intent, info.name, (current) => withScale(type, current, object), onConflict);
    return await answerScale(context, written);
  }
  checkFields(parts, context, object, duplicates);
  if (!pinned && info.subresource === "") {
    const isMissing = writer.current(type, intent.namespace, info.name) === undefined;
    if (isMissing && (object.metadata.uid ?? "") === "" && isCreatedByUpdate(type)) {
      if (object.metadata.name !== info.name) throw otherName(object.metadata.name, info.name);
      authorizeCreation(parts, context);
      return await answer(parts, context, await writer.create(intent, object), form);
    }
    if (!isMissing && isReplacedByVersion(type)) requireVersion(type, info.name);
  }
  const written = await writer.replace(intent, info.name, () => cloneJson(object), onConflict);
  await answer(parts, context, written, form);
}

/**
 * Throws 403 unless the user may create the object. An update or an apply that creates its object needs this right,
 * too.
 */
function authorizeCreation(parts: ServerParts, { info, user }: ResourceContext): void {
  const { group, resource, namespace, name } = info;
  authorize(parts, user, { verb: "create", group, resource, subresource: "", namespace, name });
}

function requireVersion(type: ResourceType, name: string): void {
  const message = `${type.plural}.${type.group} "${name}" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`;
  const cause = {
    reason: "FieldValueInvalid",
    message: "Invalid value: 0: must be specified for an update",
    field: "metadata.resourceVersion",
  };
  throw new ApiError(422, "Invalid", message, { name, group: type.group, kind: type.plural, causes: [cause] });
}

const patchMedia = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
];

export async function patchObject(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const form = answerFormOf(context.request.headers.accept);
  const { info, request, type } = context;
  const media = mediaTypeOf(request.headers["content-type"]);
  const offered = type.builtIn ? patchMedia : patchMedia.filter((name) => !name.includes("strategic"));
  if (!patchMedia.includes(media)) throw new ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
  if (!offered.includes(media)) {
    throw new ApiError(
      415,
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${offered.join(", ")}`,
    );
  }
  const isApply = media === "application/apply-patch+yaml";
  checkWriteOptions(context.query, "PatchOptions", isApply);
  const body = await readBody(request);
  if (isApply && info.subresource === "scale")
    return await answerScale(context, await applyPatch(parts, writer, context, body));
  if (isApply) return await answer(parts, context, await applyPatch(parts, writer, context, body), form);
  const patch = parsePatch(body.toString("utf8"), media);
  const intent = intentOf(context, "PatchOptions");
  const patched = (original: UntypedObject): UntypedObject => {
    if (media === "application/json-patch+json") return parts.registry.jsonPatch(original, patch);
    if (media === "application/merge-patch+json") return parts.registry.mergePatch(original, patch);
    return parts.registry.strategicMerge(type, original, patch);
  };
  if (info.subresource === "scale") {
    const written = await writer.update(intent, info.name, (current) =>
      withScale(type, current, patched(scaleOf(type, current))),
    );
    return await answerScale(context, written);
  }
  let checked = false;
  const next = (current: UntypedObject): UntypedObject => {
    const version = current.metadata.resourceVersion;
    const object = patched(current);
    // Check the depth of the result, because a JSON patch can copy a deep part into itself.
    if (media === "application/json-patch+json") checkValue(object);
    object.metadata ??= {};
    if ((object.metadata.resourceVersion ?? version) !== version) throw conflict(type, info.name);
    try {
      if (!checked) checkFields(parts, context, object, []);
      else parts.registry.dropUnknownFields(type, object);
    } catch (error) {
      throw invalidPatch(error);
    }
    checked = true;
    return object;
  };
  await answer(parts, context, await writer.replace(intent, info.name, next), form);
}

/** Turns an applied Scale into an apply configuration of its object that contains only the replicas. */
function configurationOfScale(type: ResourceType, scale: UntypedObject): UntypedObject {
  if (scale.apiVersion !== "autoscaling/v1" || scale.kind !== "Scale")
    throw badRequest(`invalid object type: ${scale.apiVersion ?? "/"}, Kind=${scale.kind ?? ""}`);
  return withScale(
    type,
    { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { name: scale.metadata.name ?? "" } },
    { ...scale, metadata: {} },
  );
}

function parsePatch(text: string, media: string): unknown {
  let patch: unknown;
  try {
    patch = JSON.parse(wellFormedJson(text));
  } catch (error) {
    throw badRequest(`error decoding patch: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (media !== "application/json-patch+json" && !isObject(patch))
    throw badRequest(
      "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
    );
  checkValue(patch);
  return patch;
}

/** Converts the error of a patch whose result cannot be decoded to 422. Returns other errors unchanged. */
function invalidPatch(error: unknown): unknown {
  if (!(error instanceof SchemaFault) && !(error instanceof ApiError && error.code === 400)) return error;
  return invalid({ group: "", kind: "" }, "", [
    { reason: "FieldValueInvalid", message: `Invalid value: ${error.message}`, field: "patch" },
  ]);
}

async function applyPatch(
  parts: ServerParts,
  writer: Writer,
  context: ResourceContext,
  body: Buffer,
): Promise<Written> {
  const { info, query, type } = context;
  const manager = query.get("fieldManager") ?? "";
  const sent = (await parseYaml(body.toString("utf8"))) as UntypedObject | null;
  if (sent === null || typeof sent !== "object" || Array.isArray(sent))
    throw badRequest("error decoding YAML: the patch is not an object");
  checkValue(sent);
  checkHead(sent);
  const applied = info.subresource === "scale" ? configurationOfScale(type, sent) : sent;
  if ((applied.metadata as { managedFields?: unknown[] }).managedFields?.length)
    throw badRequest("metadata.managedFields must be nil");
  dropEmptyMetadata(applied);
  applied.metadata.name ??= info.name;
  const intent = intentOf(context, "PatchOptions", { fieldsManaged: true });
  const force = query.get("force") === "true";
  const apply = (live: UntypedObject | undefined): UntypedObject => {
    const origin = { manager, subresource: info.subresource, time: nowText(parts.clock) };
    const object = parts.registry.serverSideApply({ type, live, applied: cloneJson(applied), origin, force });
    parts.registry.dropUnknownFields(type, object);
    return object;
  };
  for (let attempt = 0; ; attempt++) {
    if (writer.current(type, intent.namespace, info.name) !== undefined)
      return await writer.replace(intent, info.name, apply);
    if (info.subresource !== "") throw notFound(type, info.name);
    if (applied.metadata.name !== info.name) throw otherName(applied.metadata.name, info.name);
    authorizeCreation(parts, context);
    if ((applied.metadata.uid ?? "") !== "")
      throw conflict(
        type,
        info.name,
        `uid mismatch: the provided object specified uid ${applied.metadata.uid ?? ""}, and no existing object was found`,
      );
    try {
      return await writer.create(intent, apply(undefined));
    } catch (error) {
      // Another client has created the object in the meantime, so apply again to the existing object.
      if (!(error instanceof ApiError) || error.reason !== "AlreadyExists" || attempt > 4) throw error;
    }
  }
}

/**
 * Adds missing metadata to a body. Refuses a body whose kind, apiVersion or metadata are invalid, before other code
 * reads them.
 */
function checkHead(sent: UntypedObject): void {
  const { apiVersion, kind, metadata } = sent as { apiVersion?: unknown; kind?: unknown; metadata?: unknown };
  for (const [field, value] of Object.entries({ apiVersion, kind }))
    if (value !== undefined && value !== null && typeof value !== "string")
      throw badRequest(`error decoding YAML: ${field} is no text, but ${JSON.stringify(value)}`);
  if (metadata !== undefined && metadata !== null && !isObject(metadata))
    throw badRequest(`error decoding YAML: metadata is no object, but ${JSON.stringify(metadata)}`);
  sent.metadata ??= {};
}

/**
 * Handles unknown and duplicate fields as `fieldValidation` requests: refuses them, warns about them, or drops them.
 */
export function checkFields(
  parts: ServerParts,
  context: ResourceContext,
  object: UntypedObject,
  duplicates: readonly string[],
): void {
  const { query, type, warnings } = context;
  const mode = query.get("fieldValidation") || "Warn";
  const subject = subresourceKind(context) === undefined;
  const unknown = subject ? parts.registry.dropUnknownFields(type, object) : [];
  if (mode === "Ignore") return;
  // Sort unknown fields only for custom kinds, as kube-apiserver does.
  const listed = type.builtIn ? unknown : [...unknown].sort();
  const faults = [
    ...duplicates.map((path) => `duplicate field "${shortPath(path)}"`),
    ...listed.slice(0, maximumFieldFaults).map((path) => `unknown field "${shortPath(path)}"`),
  ];
  if (faults.length === 0) return;
  if (mode === "Warn") {
    warnings.push(...faults);
    return;
  }
  throw badRequest(
    `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${faults.join(", ")}`,
  );
}

/** Shortens a path for a message, because a client may choose names of megabytes. */
function shortPath(path: string): string {
  return path.length > maximumPathCharacters ? `${path.slice(0, maximumPathCharacters)}…` : path;
}

const maximumPathCharacters = 1024;

/** The kind of the objects of a subresource, if it differs from the resource's kind. */
function subresourceKind({ info, type }: ResourceContext): string | undefined {
  const subresource = type.subresources.find((candidate) => candidate.name === info.subresource);
  return subresource === undefined || subresource.kind === type.kind ? undefined : subresource.kind;
}

async function answer(
  parts: ServerParts,
  context: ResourceContext,
  written: Written,
  form: ReturnType<typeof answerFormOf>,
): Promise<void> {
  const status = written.created ? 201 : 200;
  const include = includeObjectOf(context.query);
  const { type } = context;
  const bytes =
    written.record === undefined
      ? parts.encoder.object(type, written.object, form, include)
      : parts.encoder.record(type, written.record, form, include);
  await sendForm(context, status, form, bytes);
}

async function answerScale(context: ResourceContext, written: Written): Promise<void> {
  await sendForm(
    context,
    200,
    answerFormOf(context.request.headers.accept),
    Buffer.from(JSON.stringify(scaleOf(context.type, written.object))),
  );
}
