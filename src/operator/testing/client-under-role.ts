import { userError } from "../../base/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { KubeClient, RawOptions, RawResponse, WatchEvent, WatchOptions, WriteOptions } from "../../kube/index.ts";

export interface RuleOfRole {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

type NamedKind = Pick<KindDefinition, "group" | "plural">;

/**
 * A client for an account with these rights. It records the rights that were used and the requests that were refused.
 */
export class ClientUnderRole implements KubeClient {
  /** The rights that were used, for example `get services` and `patch istios/status.istio.banzaicloud.io`. */
  readonly used = new Set<string>();
  readonly refused = new Set<string>();
  readonly #client: KubeClient;
  readonly #granted: ReadonlySet<string>;

  constructor(client: KubeClient, rules: readonly RuleOfRole[]) {
    this.#client = client;
    this.#granted = new Set(rightsOf(rules));
  }

  get: KubeClient["get"] = async (kind, ...rest) => {
    this.#require("get", kind);
    return await this.#client.get(kind, ...rest);
  };

  list: KubeClient["list"] = async (kind, ...rest) => {
    this.#require("list", kind);
    return await this.#client.list(kind, ...rest);
  };

  create: KubeClient["create"] = async (kind, ...rest) => {
    this.#require("create", kind);
    return await this.#client.create(kind, ...rest);
  };

  update: KubeClient["update"] = async (kind, object, options) => {
    this.#require("update", kind, options);
    return await this.#client.update(kind, object, options);
  };

  patchMerge: KubeClient["patchMerge"] = async (kind, name, namespace, patch, options) => {
    this.#require("patch", kind, options);
    return await this.#client.patchMerge(kind, name, namespace, patch, options);
  };

  /**
   * A real API server also requires the right `create` if the object does not exist. This client requires both rights
   * always.
   */
  apply: KubeClient["apply"] = async (kind, ...rest) => {
    this.#require("patch", kind);
    this.#require("create", kind);
    return await this.#client.apply(kind, ...rest);
  };

  delete: KubeClient["delete"] = async (kind, ...rest) => {
    this.#require("delete", kind);
    await this.#client.delete(kind, ...rest);
  };

  watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    this.#require("watch", kind);
    return this.#client.watch(kind, options);
  }

  async raw(method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    const [, pod] = /^\/api\/v1\/namespaces\/[^/]+\/pods\/([^/]+)\/log\b/.exec(path) ?? [];
    if (pod !== undefined) this.#require("get", { group: "", plural: "pods/log" });
    if (!path.endsWith("/selfsubjectaccessreviews")) return await this.#client.raw(method, path, options);
    // Every user may request reviews about their own rights.
    const { body } = (options ?? {}) as { body: { spec: { resourceAttributes: Record<string, string> } } };
    const { group = "", resource = "", verb = "" } = body.spec.resourceAttributes;
    const allowed = this.#granted.has(textOf(verb, { group, plural: resource }));
    return { status: 201, headers: {}, text: JSON.stringify({ status: { allowed } }) };
  }

  #require(verb: string, { group, plural }: NamedKind, { subresource }: WriteOptions = {}): void {
    const right = textOf(verb, { group, plural: subresource === undefined ? plural : `${plural}/${subresource}` });
    this.used.add(right);
    if (this.#granted.has(right)) return;
    this.refused.add(right);
    throw userError("forbidden", `may not ${right}`);
  }
}

export function rightsOf(rules: readonly RuleOfRole[]): string[] {
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((plural) => verbs.map((verb) => textOf(verb, { group, plural })))),
  );
}

function textOf(verb: string, { group, plural }: NamedKind): string {
  return `${verb} ${plural}${group === "" ? "" : `.${group}`}`;
}
