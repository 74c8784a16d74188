// Describes the schemas' fields by the docstrings of the types' members, so that `kubectl explain` shows what the
// sources say.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createSourceFile,
  forEachChild,
  getJSDocCommentsAndTags,
  isArrayTypeNode,
  isInterfaceDeclaration,
  isIntersectionTypeNode,
  isParenthesizedTypeNode,
  isPropertySignature,
  isTypeAliasDeclaration,
  isTypeLiteralNode,
  isTypeOperatorNode,
  isTypeReferenceNode,
  isUnionTypeNode,
  ScriptTarget,
  type InterfaceDeclaration,
  type Node,
  type PropertySignature,
  type TypeAliasDeclaration,
  type TypeNode,
} from "typescript";
import { descriptionOf } from "./descriptions.ts";
import type { Schema } from "./schema.ts";

type Declaration = InterfaceDeclaration | TypeAliasDeclaration;

const root = join(import.meta.dirname, "../..");
const declarations = readDeclarations();

function readDeclarations(): ReadonlyMap<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const file of ["src/api/meta.ts", ...globSync("src/api/serin/**/*.ts", { cwd: root }).toSorted()]) {
    if (file.includes(".test.")) continue;
    const source = createSourceFile(file, readFileSync(join(root, file), "utf8"), ScriptTarget.Latest, true);
    forEachChild(source, (node) => {
      if (isInterfaceDeclaration(node) || isTypeAliasDeclaration(node)) found.set(node.name.text, node);
    });
  }
  return found;
}

/** The schema of a kind, with descriptions of the kind, of its spec, and of every field that the types describe. */
export function describedKind(kind: string, properties: Readonly<Record<string, Schema>>): Record<string, Schema> {
  const declaration = declarations.get(kind);
  return declaration === undefined ? { ...properties } : described(properties, membersOf(declaration), kind);
}

/** Describes what the kind is for: the docstring of its type, without the group and the name at its beginning. */
export function kindDescription(kind: string): string {
  const [first = "", ...rest] = docOf(declarations.get(kind)).replace(/^\S+ \w+: /, "");
  return `${first.toUpperCase()}${rest.join("")}`;
}

function described(
  properties: Readonly<Record<string, Schema>>,
  members: ReadonlyMap<string, PropertySignature>,
  path: string,
): Record<string, Schema> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => {
      const member = members.get(name);
      return [name, withDescription(schema, member, `${path}.${name}`)];
    }),
  );
}

function withDescription(schema: Schema, member: PropertySignature | undefined, path: string): Schema {
  const below = within(schema, member?.type, path);
  if (schema["description"] !== undefined) return below;
  const description = [docOf(member), descriptionOf(path), docOf(typeDeclaration(member?.type))].find(
    (text) => text !== "",
  );
  return description === undefined ? below : { type: below["type"], description, ...below };
}

function within(schema: Schema, type: TypeNode | undefined, path: string): Schema {
  const { properties, items } = schema as { readonly properties?: Record<string, Schema>; readonly items?: Schema };
  const element = type === undefined ? undefined : elementOf(type);
  if (properties !== undefined)
    return {
      ...schema,
      properties: described(properties, element === undefined ? new Map() : membersOf(element), path),
    };
  return items === undefined ? schema : { ...schema, items: within(items, element, path) };
}

/** The type of a list's elements, or the type itself. */
function elementOf(type: TypeNode): TypeNode {
  if (isTypeOperatorNode(type)) return elementOf(type.type);
  if (isParenthesizedTypeNode(type)) return elementOf(type.type);
  return isArrayTypeNode(type) ? elementOf(type.elementType) : type;
}

function typeDeclaration(type: TypeNode | undefined): Declaration | undefined {
  const element = type === undefined ? undefined : elementOf(type);
  return element !== undefined && isTypeReferenceNode(element)
    ? declarations.get(element.typeName.getText())
    : undefined;
}

/** The members of a type. For a union, the members of all variants: those of the same name have the same meaning. */
function membersOf(node: Declaration | TypeNode): ReadonlyMap<string, PropertySignature> {
  if (isInterfaceDeclaration(node)) {
    const inherited = (node.heritageClauses ?? []).flatMap(({ types }) =>
      types.flatMap(({ expression }) => {
        const base = declarations.get(expression.getText());
        return base === undefined ? [] : [...membersOf(base)];
      }),
    );
    return new Map([...inherited, ...own(node.members)]);
  }
  if (isTypeAliasDeclaration(node)) return membersOf(node.type);
  if (isTypeLiteralNode(node)) return new Map(own(node.members));
  if (isUnionTypeNode(node) || isIntersectionTypeNode(node))
    return new Map(node.types.toReversed().flatMap((each) => [...membersOf(elementOf(each))]));
  const declaration = typeDeclaration(node);
  return declaration === undefined ? new Map() : membersOf(declaration);
}

function own(members: Iterable<Node>): [string, PropertySignature][] {
  return [...members].flatMap((member): [string, PropertySignature][] =>
    isPropertySignature(member) ? [[member.name.getText(), member]] : [],
  );
}

function docOf(node: Node | undefined): string {
  const [comment] = node === undefined ? [] : getJSDocCommentsAndTags(node);
  const text = comment?.getText() ?? "";
  return text
    .replace(/^\/\*\*/, "")
    .replace(/\*\/$/, "")
    .replaceAll(/^\s*\* ?/gm, "")
    .replaceAll(/\{@link (?:\w+\.)?(\w+)\}/g, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
}
