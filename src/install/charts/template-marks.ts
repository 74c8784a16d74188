import { Document, isScalar, visit, type Scalar } from "yaml";
import type { UntypedObject } from "../../api/index.ts";

type Mark =
  | { readonly kind: "text"; readonly expression: string }
  | { readonly kind: "optional"; readonly expression: string }
  | { readonly kind: "number"; readonly expression: string }
  | { readonly kind: "map"; readonly expression: string }
  | { readonly kind: "list"; readonly expression: string }
  | { readonly kind: "env"; readonly expression: string }
  | { readonly kind: "names"; readonly expression: string }
  | { readonly kind: "block"; readonly expression: string };

const open = "⟦";
const close = "⟧";
/** The first number that serves as a mark. No real setting is as large. */
const firstNumber = 900_000_000;
/** Lines that contain only a mark: an object's field, or an element with a name. */
const mapLine = /^( *)"⟦(\d+)⟧": (?:null|""|"null")$/;
const nameLine = /^( *)- name: "⟦(\d+)⟧"$/;

/**
 * Placeholders for values that a chart's user sets. The renderer treats them like any value, and {@link templateOf}
 * turns the rendered object into a Go template. An expression is an expression of Go's text/template with Helm's
 * functions.
 */
export class TemplateMarks {
  readonly #marks: Mark[] = [];
  /** The index of each mark by its kind and expression, so that equal marks have the same text. */
  readonly #places = new Map<string, number>();
  /** The finished templates, by the objects' JSON. Most objects are the same in every state of a chart's switches. */
  readonly #templates = new Map<string, string>();

  text(expression: string): string {
    return this.#mark({ kind: "text", expression });
  }

  /** Marks a string. Its field is omitted if the value is empty. */
  optional(expression: string): string {
    return this.#mark({ kind: "optional", expression });
  }

  number(expression: string): number {
    return firstNumber + this.#placeOf({ kind: "number", expression });
  }

  /** Marks fields to add to an object. */
  map(expression: string): Record<string, unknown> {
    return { [this.#mark({ kind: "map", expression })]: null };
  }

  /** Marks elements to add to a list. */
  list(expression: string): unknown[] {
    return [this.#mark({ kind: "list", expression })];
  }

  /** Marks an object of environment variables, which becomes a list of `{name, value}`. */
  env(expression: string): Record<string, unknown> {
    return { [this.#mark({ kind: "env", expression })]: "" };
  }

  /** Marks a list of strings, which becomes a list of `{name}`. */
  names(expression: string): string[] {
    return [this.#mark({ kind: "names", expression })];
  }

  /** Marks a string of several lines. */
  block(expression: string): string {
    return this.#mark({ kind: "block", expression });
  }

  #mark(mark: Mark): string {
    return `${open}${this.#placeOf(mark)}${close}`;
  }

  #placeOf(mark: Mark): number {
    const key = `${mark.kind} ${mark.expression}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    this.#places.set(key, this.#marks.length);
    return this.#marks.push(mark) - 1;
  }

  templateOf(object: UntypedObject): string {
    const key = JSON.stringify(object);
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    const template = this.#made(object);
    this.#templates.set(key, template);
    return template;
  }

  #made(object: UntypedObject): string {
    const document = new Document(object);
    visit(document, {
      Scalar: (_key, node: Scalar) => {
        if (isScalar(node) && typeof node.value === "string" && node.value.includes(open)) node.type = "QUOTE_DOUBLE";
      },
    });
    const lines = document.toString({ lineWidth: 0 }).trimEnd().split("\n");
    return this.#templateOf(lines);
  }

  #templateOf(given: readonly string[]): string {
    const lines = this.#withoutRepeats(given);
    const out: string[] = [];
    for (let index = 0; index < lines.length; index += 1) {
      const line = lines[index] ?? "";
      const env = this.#alone(nameLine.exec(line), "env");
      if (env !== undefined) {
        index += 1;
        const { indent, expression } = env;
        out.push(
          `${indent}{{- range $name, $value := ${expression} }}`,
          `${indent}- name: {{ $name }}`,
          `${indent}  value: {{ $value | quote }}`,
          `${indent}{{- end }}`,
        );
        continue;
      }
      out.push(...this.#lineOf(line));
    }
    return out.join("\n");
  }

  /**
   * Omits the object's own labels, annotations and variables that the user's values also contain. Otherwise the output
   * would contain them twice, which kustomize and server-side apply refuse. Quotes values of labels and annotations,
   * and omits null values.
   */
  #withoutRepeats(lines: readonly string[]): string[] {
    const wrapped = lines.map((line) => [line]);
    lines.forEach((line, index) => {
      const variables = this.#alone(nameLine.exec(line), "env");
      const texts = this.#alone(mapLine.exec(line), "map");
      if (variables !== undefined) {
        const { indent, expression } = variables;
        wrapSiblings(lines, wrapped, index, { indent, key: /^ *- name: ([\w.]+)$/, expression });
      } else if (texts !== undefined && namesTexts(lines, index, texts.indent)) {
        const { indent, expression } = texts;
        wrapSiblings(lines, wrapped, index, { indent, key: /^ *([\w./-]+):/, expression });
        wrapped[index] = [
          `${indent}{{- range $name, $value := ${expression} }}`,
          `${indent}{{- if ne (toJson $value) "null" }}`,
          `${indent}{{ $name | quote }}: {{ $value | quote }}`,
          `${indent}{{- end }}`,
          `${indent}{{- end }}`,
        ];
      }
    });
    return wrapped.flat();
  }

  #lineOf(line: string): string[] {
    const map = this.#alone(mapLine.exec(line), "map");
    if (map !== undefined)
      return [`${map.indent}{{- with ${map.expression} }}{{ toYaml . | nindent ${map.indent.length} }}{{- end }}`];
    const list = this.#alone(/^( *)- "⟦(\d+)⟧"$/.exec(line), "list");
    if (list !== undefined)
      return [`${list.indent}{{- with ${list.expression} }}{{ toYaml . | nindent ${list.indent.length} }}{{- end }}`];
    const names = this.#alone(nameLine.exec(line), "names");
    if (names !== undefined)
      return [
        `${names.indent}{{- range $name := ${names.expression} }}`,
        `${names.indent}- name: {{ $name | quote }}`,
        `${names.indent}{{- end }}`,
      ];
    const [, indent = "", field = "", number] = /^( *)([^"]*): "⟦(\d+)⟧"$/.exec(line) ?? [];
    const mark = number === undefined ? undefined : this.#marks[Number(number)];
    if (mark?.kind === "optional")
      return [`${indent}{{- with ${mark.expression} }}`, `${indent}${field}: {{ . | quote }}`, `${indent}{{- end }}`];
    if (mark?.kind === "block")
      return [`${indent}${field}: |-`, `{{ ${mark.expression} | indent ${indent.length + 2} }}`];
    return [this.#inline(line)];
  }

  #alone(
    match: RegExpExecArray | null,
    kind: Mark["kind"],
  ): { readonly indent: string; readonly expression: string } | undefined {
    const mark = match === null ? undefined : this.#marks[Number(match[2])];
    return mark?.kind === kind ? { indent: match?.[1] ?? "", expression: mark.expression } : undefined;
  }

  #inline(line: string): string {
    return line
      .replaceAll(/"⟦(\d+)⟧"/g, (_whole, number: string) => `{{ ${this.#expression(number)} | quote }}`)
      .replaceAll(/⟦(\d+)⟧/g, (_whole, number: string) => `{{ ${this.#expression(number)} }}`)
      .replaceAll(/\b9\d{8}\b/g, (number) => {
        const mark = this.#marks[Number(number) - firstNumber];
        return mark?.kind === "number" ? `{{ ${mark.expression} }}` : number;
      });
  }

  #expression(number: string): string {
    return this.#marks[Number(number)]?.expression ?? "";
  }
}

interface Siblings {
  readonly indent: string;
  /** Matches the first line of an entry, and captures the entry's name. */
  readonly key: RegExp;
  /** The expression of the user's entries by name. */
  readonly expression: string;
}

/**
 * Encloses each fixed entry beside line `index` in a condition, so that an entry of the user with the same name
 * replaces it.
 */
function wrapSiblings(
  lines: readonly string[],
  wrapped: string[][],
  index: number,
  { indent, key, expression }: Siblings,
): void {
  const [first, last] = [-1, 1].map((step) => {
    let at = index;
    while (belongsTo(lines[at + step], indent)) at += step;
    return at;
  }) as [number, number];
  for (let at = first; at <= last; at += 1) {
    const line = lines[at] ?? "";
    const name = isDeeper(line, indent) ? undefined : key.exec(line)?.[1];
    if (name === undefined || at === index) continue;
    wrapped[at]?.unshift(`${indent}{{- if not (hasKey (${expression} | default dict) "${name}") }}`);
    while (at < last && isDeeper(lines[at + 1] ?? "", indent)) at += 1;
    wrapped[at]?.push(`${indent}{{- end }}`);
  }
}

/** Whether the line has at least this indentation. */
function belongsTo(line: string | undefined, indent: string): boolean {
  return line !== undefined && line.startsWith(indent) && line.trim() !== "";
}

function isDeeper(line: string, indent: string): boolean {
  return line.startsWith(`${indent} `);
}

/** Whether the line is directly below a field whose values are strings. */
function namesTexts(lines: readonly string[], index: number, indent: string): boolean {
  const parent = lines.slice(0, index).findLast((line) => !belongsTo(line, indent)) ?? "";
  return /^ *(- )?(labels|annotations|nodeSelector|data):$/.test(parent);
}
