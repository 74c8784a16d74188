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
/** The first number that is used as a mark. No real setting is as large. */
const firstNumber = 900_000_000;
/** A line that contains only a mark: fields of an object, or an entry with a name. */
const mapLine = /^( *)"⟦(\d+)⟧": (?:null|""|"null")$/;
const nameLine = /^( *)- name: "⟦(\d+)⟧"$/;

/**
 * Placeholders for values that a chart's user sets. Objects are rendered with them like with any value, and the output
 * is turned into a Go template. Expressions use text/template with helm's functions.
 */
export class TemplateMarks {
  readonly #marks: Mark[] = [];
  /** The places of marks by their kind and expression, so that equal marks are the same text. */
  readonly #places = new Map<string, number>();
  /**
   * Templates by the objects' JSON. A chart renders its objects once for each state of its switches, and most of them
   * are the same in every state.
   */
  readonly #templates = new Map<string, string>();

  /** Marks a string or a part of one. */
  text(expression: string): string {
    return this.#mark({ kind: "text", expression });
  }

  /** Marks a string whose field is omitted if it is empty. */
  optional(expression: string): string {
    return this.#mark({ kind: "optional", expression });
  }

  number(expression: string): number {
    return firstNumber + this.#placeOf({ kind: "number", expression });
  }

  /** Marks additional fields of an object. */
  map(expression: string): Record<string, unknown> {
    return { [this.#mark({ kind: "map", expression })]: null };
  }

  /** Marks additional elements of a list. */
  list(expression: string): unknown[] {
    return [this.#mark({ kind: "list", expression })];
  }

  /** Marks an object of variables, whose entries become `{name, value}`. */
  env(expression: string): Record<string, unknown> {
    return { [this.#mark({ kind: "env", expression })]: "" };
  }

  /** Marks a list of texts, each of which becomes the name of a reference: `{name}`. */
  names(expression: string): string[] {
    return [this.#mark({ kind: "names", expression })];
  }

  /** Marks a text of several lines. */
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

  /** The template of an object that was rendered with marks. */
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
        // The value is on the next line.
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
   * Leaves out the object's own labels, annotations and variables that the user's values contain too. Otherwise the
   * output would contain them twice, which kustomize and a server-side apply refuse. Values of labels and annotations
   * become texts, and null removes one.
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
  /** Matches the beginning of an entry, with its name. */
  readonly key: RegExp;
  /** The user's entries by name. */
  readonly expression: string;
}

/** Encloses each fixed entry beside the line in a condition: that no entry of the user has the same name. */
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

/** Whether the line is at this indentation or deeper. */
function belongsTo(line: string | undefined, indent: string): boolean {
  return line !== undefined && line.startsWith(indent) && line.trim() !== "";
}

function isDeeper(line: string, indent: string): boolean {
  return line.startsWith(`${indent} `);
}

/** Whether the line is directly in a field whose values are texts. */
function namesTexts(lines: readonly string[], index: number, indent: string): boolean {
  const parent = lines.slice(0, index).findLast((line) => !belongsTo(line, indent)) ?? "";
  return /^ *(- )?(labels|annotations|nodeSelector|data):$/.test(parent);
}
