import { refusal } from "../../problem.ts";

/** The fields of a request, from its query or from its JSON body. A field is checked when it is read. */
export class RequestFields {
  readonly #fields: ReadonlyMap<string, unknown>;

  private constructor(fields: ReadonlyMap<string, unknown>) {
    this.#fields = fields;
  }

  static ofQuery(query: URLSearchParams): RequestFields {
    return new RequestFields(new Map(query));
  }

  /** Throws `invalid` if the text is not a JSON object. */
  static ofJson(text: string): RequestFields {
    let body: unknown;
    try {
      body = JSON.parse(text === "" ? "{}" : text);
    } catch {
      throw refusal("invalid", "the body is not JSON");
    }
    if (typeof body !== "object" || body === null || Array.isArray(body))
      throw refusal("invalid", "the body is not a JSON object");
    return new RequestFields(new Map(Object.entries(body)));
  }

  text(name: string, maxLength = 253): string {
    const value = this.#fields.get(name) ?? "";
    if (typeof value !== "string") throw refusal("invalid", `${name}: expected a string`);
    if (value.length > maxLength)
      throw refusal("too-long", `${name}: at most ${maxLength} characters, got ${value.length}`);
    return value;
  }

  requiredText(name: string, maxLength?: number): string {
    const value = this.text(name, maxLength);
    if (value === "") throw refusal("invalid", `${name} is missing`);
    return value;
  }

  integer(name: string, least: number, most: number, fallback: number): number {
    const value = this.#fields.get(name) ?? fallback;
    const number = typeof value === "string" && value !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number) || number < least || number > most)
      throw refusal("invalid", `${name}: expected an integer from ${least} to ${most}`);
    return number;
  }

  optionalFlag(name: string): boolean | undefined {
    return this.#fields.get(name) === undefined ? undefined : this.flag(name);
  }

  flag(name: string): boolean {
    const value = this.#fields.get(name) ?? false;
    if (value === true || value === "true") return true;
    if (value === false || value === "false" || value === "") return false;
    throw refusal("invalid", `${name}: expected true or false`);
  }

  oneOf<Value extends string>(name: string, values: readonly Value[]): Value {
    const value = this.#fields.get(name);
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw refusal("invalid", `${name}: expected one of ${values.join(", ")}`);
    return found;
  }
}
