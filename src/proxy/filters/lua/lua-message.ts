import type { FilterRequest, FilterResponse } from "../http-filter.ts";

/** A body up to this size is kept for a script: Envoy's default limit of a connection's buffers. */
const maxScriptBodyBytes = 1024 * 1024;

/** Headers or trailers that a script can read and change. Names are in lower case. */
export interface ScriptFields {
  list(): readonly (readonly [name: string, value: string])[];
  values(name: string): readonly string[];
  /** Replaces all values of the name. An empty list removes it. */
  set(name: string, values: readonly string[]): void;
}

export interface ScriptMessage {
  readonly kind: "request" | "response";
  readonly request: FilterRequest;
  readonly fields: ScriptFields;
  /** The whole body. Undefined if there is none, and "too long" if it exceeds {@link maxScriptBodyBytes}. */
  body(): Promise<Buffer | undefined | "too long">;
  setBody(bytes: Buffer): void;
  /** The trailers, which are known only after the body. Undefined if there are none. */
  trailers(): ScriptFields | undefined;
}

/** A request's pseudo headers, which represent its first line. */
const pseudo = [":authority", ":path", ":method", ":scheme"] as const;

export class ScriptRequest implements ScriptMessage {
  readonly kind = "request";
  readonly request: FilterRequest;
  readonly fields: ScriptFields;
  readonly #changed: () => void;
  #bytes: Promise<Buffer | undefined | "too long"> | undefined;

  constructor(request: FilterRequest, changed: () => void) {
    this.request = request;
    this.#changed = changed;
    this.fields = {
      list: () => [
        ...pseudo.map((name) => [name, this.#pseudo(name)] as const),
        ...[...request.headers()].filter(([name]) => name !== "host" && !name.startsWith(":")),
      ],
      values: (name) => {
        if (isPseudo(name) || name === "host") return [this.#pseudo(isPseudo(name) ? name : ":authority")];
        return request.values(name);
      },
      set: (name, values) => this.#set(name, values),
    };
  }

  body(): Promise<Buffer | undefined | "too long"> {
    this.#bytes ??= this.#read();
    return this.#bytes;
  }

  setBody(bytes: Buffer): void {
    this.#bytes = Promise.resolve(bytes);
    this.request.replaceBody(bytes);
  }

  trailers(): ScriptFields | undefined {
    const { request } = this;
    return request.trailers === undefined
      ? undefined
      : fieldsOfList(request.trailers, (fields) => request.setTrailers(fields));
  }

  async #read(): Promise<Buffer | undefined | "too long"> {
    if (!this.request.hasBody) return undefined;
    const { bytes, isWhole } = await this.request.bodyStart(maxScriptBodyBytes);
    return isWhole ? (bytes.length === 0 ? undefined : Buffer.from(bytes)) : "too long";
  }

  #set(name: string, values: readonly string[]): void {
    this.#changed();
    if (name === ":scheme") return;
    const [first] = values;
    if (isPseudo(name) || name === "host") {
      if (first !== undefined) this.request.setHeader(name === ":authority" ? "host" : name, first);
    } else if (first === undefined) this.request.removeHeader(name);
    else this.request.setHeader(name, values.length === 1 ? first : values);
  }

  #pseudo(name: (typeof pseudo)[number]): string {
    const { request } = this;
    const edited = request.header(name === ":authority" ? "host" : name);
    if (edited !== undefined) return edited;
    switch (name) {
      case ":authority":
        return request.authority;
      case ":method":
        return request.method;
      case ":path":
        return request.query === "" ? request.path : `${request.path}?${request.query}`;
      case ":scheme":
        return request.scheme;
    }
  }
}

function isPseudo(name: string): name is (typeof pseudo)[number] {
  return pseudo.some((field) => field === name);
}

export class ScriptResponse implements ScriptMessage {
  readonly kind = "response";
  readonly request: FilterRequest;
  readonly fields: ScriptFields;
  readonly #response: FilterResponse;
  #bytes: Promise<Buffer | undefined | "too long"> | undefined;

  constructor(response: FilterResponse) {
    this.#response = response;
    this.request = response.request;
    const status = ":status";
    this.fields = {
      list: () => [[status, String(response.status)], ...response.fields],
      values: (name) =>
        name === status
          ? [String(response.status)]
          : response.fields.filter(([other]) => other === name).map(([, value]) => value),
      set: (name, values) => {
        if (name === status) response.status = statusOf(values[0]) ?? response.status;
        else response.fields = replaced(response.fields, name, values);
      },
    };
  }

  body(): Promise<Buffer | undefined | "too long"> {
    this.#bytes ??= this.#read();
    return this.#bytes;
  }

  setBody(bytes: Buffer): void {
    this.#bytes = Promise.resolve(bytes);
    this.#response.replaceBody(bytes);
  }

  trailers(): ScriptFields | undefined {
    const response = this.#response;
    return response.trailers === undefined
      ? undefined
      : fieldsOfList(response.trailers, (fields) => void (response.trailers = fields));
  }

  async #read(): Promise<Buffer | undefined | "too long"> {
    const { bytes, isWhole } = await this.#response.bodyStart(maxScriptBodyBytes);
    return isWhole ? (bytes.length === 0 ? undefined : bytes) : "too long";
  }
}

/** Parses a status from 200 to 599. Returns undefined for any other text. */
export function statusOf(text: string | undefined): number | undefined {
  const status = /^[2-5][0-9][0-9]$/.test(text ?? "") ? Number(text) : undefined;
  return status;
}

type Fields = readonly (readonly [name: string, value: string])[];

/** The new values take the position of the name's first field. */
function replaced(fields: Fields, name: string, values: readonly string[]): Fields {
  const at = fields.findIndex(([other]) => other === name);
  const rest = fields.filter(([other]) => other !== name);
  const place = at < 0 ? rest.length : at;
  return [...rest.slice(0, place), ...values.map((value) => [name, value] as const), ...rest.slice(place)];
}

function fieldsOfList(flat: readonly string[], keep: (flat: readonly string[]) => void): ScriptFields {
  let fields: Fields = flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? ""] as const] : []));
  return {
    list: () => fields,
    values: (name) => fields.filter(([other]) => other === name).map(([, value]) => value),
    set: (name, values) => {
      fields = replaced(fields, name, values);
      keep(fields.flat());
    },
  };
}
