import type { KindDefinition, KubernetesObject, UntypedObject } from "../../../api/index.ts";
import { transientError, userError } from "../../../base/index.ts";
import type {
  KubeConnection,
  ListOptions,
  ListResult,
  RawOptions,
  RawResponse,
  WriteOptions,
} from "../../../kube/index.ts";
import type { AccessRight } from "../view-source.ts";

export interface FakeKubeApiOptions {
  readonly objects?: readonly UntypedObject[];
  /** Decides whether the caller has a right. By default, the caller has all. */
  readonly allows?: (right: AccessRight) => boolean;
  /** Users by their valid tokens. */
  readonly tokens?: Readonly<Record<string, string>>;
  readonly user?: string;
  /** Answers for other paths, by `METHOD path` without the query. */
  readonly answers?: Readonly<
    Record<
      string,
      { readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> }
    >
  >;
}

/** An API server in memory, with what the dashboard needs: objects, reviews, and fixed answers. */
export class FakeKubeApi implements KubeConnection {
  readonly objects: UntypedObject[];
  /** Every raw request as `METHOD path?query`, with its body. */
  readonly requests: { readonly line: string; readonly body: unknown }[] = [];
  readonly patches: unknown[] = [];
  tokens: Readonly<Record<string, string>>;
  allows: (right: AccessRight) => boolean;
  /** Whether its webhooks accept a new object. */
  admits: (kind: KindDefinition) => boolean = () => true;
  isAway = false;
  closed = false;
  readonly #options: FakeKubeApiOptions;

  constructor(options: FakeKubeApiOptions = {}) {
    this.#options = options;
    this.objects = [...(options.objects ?? [])];
    this.tokens = options.tokens ?? {};
    this.allows = options.allows ?? (() => true);
  }

  close(): void {
    this.closed = true;
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    return this.#of(kind, namespace).find(({ metadata }) => metadata.name === name) as Value | undefined;
  }

  async list<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    { namespace }: ListOptions = {},
  ): Promise<ListResult<Value>> {
    if (!this.allows({ verb: "list", group: kind.group, resource: kind.plural, namespace: namespace ?? "" }))
      throw userError("forbidden", `list of ${kind.plural}: forbidden`);
    return { items: this.#of(kind, namespace) as unknown as Value[], resourceVersion: "1" };
  }

  async create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    { dryRun }: WriteOptions = {},
  ): Promise<Value> {
    if (!this.admits(kind)) throw userError("invalid", `create of ${kind.plural}: the webhook refused it`);
    if (dryRun !== true) this.objects.push(object as unknown as UntypedObject);
    return object;
  }

  async update<Value extends KubernetesObject>(_kind: KindDefinition<Value>, object: Value): Promise<Value> {
    return await Promise.resolve(object);
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
  ): Promise<Value> {
    this.patches.push(patch);
    const found = await this.get(kind, name, namespace);
    if (found === undefined) throw userError("not-found", `${name} is not there`);
    const { resourceVersion } = (patch as { metadata?: { resourceVersion?: string } }).metadata ?? {};
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
      throw transientError("conflict", "the object has been modified");
    return found;
  }

  async apply<Value extends KubernetesObject>(_kind: KindDefinition<Value>, object: Value): Promise<Value> {
    this.objects.push(object as unknown as UntypedObject);
    return await Promise.resolve(object);
  }

  async delete(kind: KindDefinition, name: string, namespace?: string): Promise<void> {
    const at = this.objects.indexOf((await this.get(kind, name, namespace)) as unknown as UntypedObject);
    if (at !== -1) this.objects.splice(at, 1);
  }

  async *watch(): AsyncIterable<never> {
    await Promise.resolve();
    yield* [];
  }

  async raw(method: string, path: string, { body }: RawOptions = {}): Promise<RawResponse> {
    if (this.isAway) throw transientError("unreachable", "the API server does not answer");
    this.requests.push({ line: `${method} ${path}`, body });
    const canned = this.#options.answers?.[`${method} ${path.split("?")[0] ?? ""}`];
    if (canned !== undefined) return await Promise.resolve({ headers: {}, ...canned });
    const { spec = {} } = (body ?? {}) as { spec?: { token?: string; resourceAttributes?: Partial<AccessRight> } };
    const status = this.#review(path.split("/").at(-1) ?? "", spec);
    return status === undefined
      ? { status: 404, headers: {}, text: JSON.stringify({ message: `${path} is not found` }) }
      : { status: 201, headers: {}, text: JSON.stringify({ status }) };
  }

  #review(
    resource: string,
    {
      token = "",
      resourceAttributes = {},
    }: { readonly token?: string; readonly resourceAttributes?: Partial<AccessRight> },
  ): unknown {
    const { user = "ana@example.org" } = this.#options;
    if (resource === "tokenreviews")
      return this.tokens[token] === undefined
        ? { error: "invalid bearer token" }
        : { authenticated: true, user: { username: this.tokens[token], groups: ["system:authenticated"] } };
    if (resource === "selfsubjectreviews") return { userInfo: { username: user, groups: ["system:authenticated"] } };
    if (resource === "selfsubjectaccessreviews")
      return { allowed: this.allows({ verb: "", group: "", resource: "", namespace: "", ...resourceAttributes }) };
    return undefined;
  }

  #of(kind: KindDefinition, namespace: string | undefined): readonly UntypedObject[] {
    return this.objects.filter(
      (object) =>
        object.kind === kind.kind &&
        (object.apiVersion ?? "").startsWith(kind.group) &&
        (namespace === undefined || object.metadata.namespace === namespace),
    );
  }
}
