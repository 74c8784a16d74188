import { analyze, type AnalysisOptions, type Manifest, type Resource } from "../../../analyze/index.ts";
import type { ConfigMessage } from "../../../api/dashboard/index.ts";
import { meshConfigOf, readAnalysedCluster, type AnalysedCluster } from "../../../preflight/analysed-cluster/index.ts";
import { messageOf, type Clock } from "../../../base/index.ts";
import type { Identity } from "../access/identity.ts";
import { refusal } from "../../problem.ts";
import { maxYamlLength } from "./apply-objects.ts";
import type { RequestHandler } from "./request-handlers.ts";
import type { YamlThreads } from "./yaml-threads.ts";

export interface ValidateYamlOptions {
  readonly clock: Clock;
  readonly istioNamespace: string;
  readonly yaml: YamlReaders;
}

/** The threads that read YAML. Anonymous users have threads of their own, so that they delay only each other. */
export interface YamlReaders {
  readonly users: YamlThreads;
  readonly anonymous: YamlThreads;
}

const revision = "default";
const readTimeoutMs = 20_000;
/** How long the cluster's objects are cached. An editor sends a request at every pause in typing. */
const contentsHoldMs = 10_000;
const maxMessages = 200;
/** The maximum number of objects in a text. The analyzers compare each object with all others. */
const maxObjects = 500;
/** The maximum length of a text of a user without a login. */
const maxAnonymousLength = 131_072;

export type ValidateYaml = (yaml: string, identity: Identity) => Promise<readonly ConfigMessage[]>;

/**
 * Returns what the parsers and the analyzer say about a YAML text. The analyzer also sees the cluster's objects that
 * the user may read.
 */
export function createValidateYaml(options: ValidateYamlOptions): ValidateYaml {
  const contents = new ContentsByIdentity(options);
  return async (yaml, identity) => {
    const isAnonymous = identity.own === undefined;
    if (isAnonymous && yaml.length > maxAnonymousLength)
      throw refusal(
        "too-long",
        `yaml: at most ${maxAnonymousLength} characters without a login, got ${yaml.length}`,
        "log in, or use serin validate",
      );
    const manifest = await (isAnonymous ? options.yaml.anonymous : options.yaml.users).read(yaml);
    if (manifest.resources.length > maxObjects)
      throw refusal(
        "too-long",
        `at most ${maxObjects} objects at once, got ${manifest.resources.length}`,
        "serin validate takes more",
      );
    return await messagesOf(manifest, await contents.of(identity), options);
  };
}

export function validateRequest(validate: ValidateYaml): RequestHandler<"POST /api/validate"> {
  return async (fields, identity) => ({ messages: await validate(fields.text("yaml", maxYamlLength), identity) });
}

/**
 * The messages about the text's own objects, each with its line. If the cluster was not read, `contents` is the reason.
 */
export async function messagesOf(
  manifest: Manifest,
  contents: AnalysedCluster | string,
  { istioNamespace }: Pick<ValidateYamlOptions, "istioNamespace">,
): Promise<readonly ConfigMessage[]> {
  const messages = [...faultsOf(manifest)];
  const isRead = typeof contents !== "string";
  if (!isRead)
    messages.push(note(`the cluster could not be read, so references to other objects are not checked: ${contents}`));
  else if (contents.unread.size > 0)
    messages.push(
      note(
        `the server did not list ${[...contents.unread.keys()].join(", ")}: messages about references to these may be wrong`,
      ),
    );
  const known: Resource[] = isRead ? contents.objects.map((object) => ({ object })) : [];
  const options: AnalysisOptions = {
    defaultNamespace: "default",
    istioNamespace,
    // If the cluster was not read, it may have further objects.
    scope: isRead ? "cluster" : "files",
    ...(isRead
      ? {
          unread: new Set(contents.unread.keys()),
          notServed: contents.notServed,
          meshConfig: meshConfigOf(contents, { istioNamespace }),
        }
      : {}),
  };
  const own = new Set(manifest.resources.map(({ source }) => source));
  const found = analyze([...known, ...manifest.resources], options);
  for (const { type, resource, path, text } of found) {
    if (resource?.source === undefined || !own.has(resource.source)) continue;
    const { line, column } = resource.source.positionOf(path) ?? { line: 1, column: 1 };
    messages.push({ code: type.code, level: type.level, message: text, path: path ?? "", line, column });
  }
  return messages.slice(0, maxMessages);
}

function faultsOf({ faults }: Manifest): readonly ConfigMessage[] {
  return faults.map(({ message, position }) => ({
    code: "",
    level: "Error",
    message,
    path: "",
    line: position?.line ?? 1,
    column: position?.column ?? 1,
  }));
}

function note(message: string): ConfigMessage {
  return { code: "", level: "Info", message, path: "", line: 1, column: 1 };
}

class ContentsByIdentity {
  readonly #options: ValidateYamlOptions;
  readonly #held = new WeakMap<
    Identity["reading"],
    { readonly contents: Promise<AnalysedCluster | string>; readonly atMs: number }
  >();

  constructor(options: ValidateYamlOptions) {
    this.#options = options;
  }

  async of({ reading }: Identity): Promise<AnalysedCluster | string> {
    const { clock, istioNamespace } = this.#options;
    const before = this.#held.get(reading);
    if (before !== undefined && clock.steadyMs() - before.atMs < contentsHoldMs) return await before.contents;
    const contents = readAnalysedCluster(reading, { istioNamespace, revision }, { timeoutMs: readTimeoutMs }).catch(
      (error: unknown) => messageOf(error),
    );
    const held = { contents, atMs: clock.steadyMs() };
    this.#held.set(reading, held);
    clock.after(contentsHoldMs, () => {
      if (this.#held.get(reading) === held) this.#held.delete(reading);
    });
    return await contents;
  }
}
