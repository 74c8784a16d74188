import type * as Cel from "@bufbuild/cel";
import { hasLoop, withFunctions } from "../../base/cel/index.ts";
import { loadPackage, messageOf } from "../../base/index.ts";
import { regexSize } from "../../base/regex-size/index.ts";
import type { ParsedExpression } from "../../wire/envoy/index.ts";
import { bigintText } from "../terms/bigint-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";

/**
 * The value of an expression for a set of attributes. Undefined if the expression fails, or reads an attribute that is
 * missing.
 */
export type CelProgram = (attributes: Readonly<Record<string, unknown>>) => unknown;

/** The groups of Envoy's attributes, which are an expression's variables. */
const variables = [
  "request",
  "response",
  "connection",
  "source",
  "destination",
  "upstream",
  "xds",
  "metadata",
  "filter_state",
] as const;

/** Compiles an expression from its text or its syntax tree. Throws the result of `refuse` for an invalid expression. */
export function compileCel(source: string | ParsedExpression, refuse: (problem: string) => Error): CelProgram {
  const cel = loadPackage<typeof Cel>("@bufbuild/cel");
  type Tree = ReturnType<typeof Cel.parse>["expr"];
  try {
    const environment = boundedMatches(
      cel.celEnv({ variables: Object.fromEntries(variables.map((name) => [name, cel.CelScalar.DYN])) }),
    );
    // Google's older protobuf format of the tree has the same fields as the evaluator's own.
    const tree = typeof source === "string" ? cel.parse(source).expr : (source as unknown as Tree);
    // Refuse loops, as Envoy does, so that the length of an expression limits its cost.
    if (hasLoop(tree)) throw new Error("loops (all, exists, exists_one, filter, map) are not supported");
    const plan = cel.plan(environment, tree) as unknown as CelProgram;
    return (attributes) => {
      try {
        const result = plan(attributes);
        return result instanceof Error ? undefined : result;
      } catch {
        return undefined;
      }
    };
  } catch (error) {
    throw refuse(messageOf(error));
  }
}

/** The limits of a pattern in an expression, in instructions, and of their product with the characters of the text. */
const maxPatternSize = 4096;
const maxPatternProduct = 2_000_000;

/**
 * An environment in which `matches` fails for a pattern that takes long to compile or to match. A pattern is compiled
 * for each request, and the client may choose the text and even the pattern.
 */
function boundedMatches(environment: Cel.CelEnv): Cel.CelEnv {
  return withFunctions(environment, (name, found) => {
    if (found === undefined || name !== "matches") return found;
    return {
      call: (id, target, operands) => {
        const [pattern] = operands;
        if (typeof target === "string" && typeof pattern === "string") {
          const size = regexSize(pattern);
          if (size > maxPatternSize || size * target.length > maxPatternProduct)
            throw new Error("the pattern is too long for its text");
        }
        return found.call(id, target, operands);
      },
    };
  });
}

/**
 * Attributes for an expression. A value that is a function runs when an expression reads it. An undefined attribute is
 * absent.
 */
export class LazyAttributes extends Map<string, unknown> {
  constructor(attributes: Readonly<Record<string, unknown>>) {
    super(Object.entries(attributes));
  }

  override get(name: string): unknown {
    const value: unknown = super.get(name);
    return typeof value === "function" ? (value as () => unknown)() : value;
  }

  override has(name: string): boolean {
    return this.get(name) !== undefined;
  }
}

export function connectionAttributes({ tls }: ConnectionInfo, requestedServerName: string): LazyAttributes {
  const known = (value: string | undefined): string | undefined => (value === "" ? undefined : value);
  return new LazyAttributes({
    mtls: tls?.verified === true,
    requested_server_name: requestedServerName,
    uri_san_peer_certificate: known(tls?.peerIdentity),
    uri_san_local_certificate: known(tls?.localIdentity),
    subject_peer_certificate: () => known(tls?.peerSubject()),
    dns_san_peer_certificate: () => known(tls?.peerDnsNames()[0]),
    sha256_peer_certificate_digest: () => known(tls?.peerCertificateHash()),
  });
}

/** An expression's value as text. Undefined if it is not a scalar. */
export function scalarText(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "bigint":
    case "number":
    case "boolean":
      return String(value);
    case "object": {
      if (value === null) return "NULL";
      if (value instanceof Uint8Array) return Buffer.from(value).toString();
      const unsigned: unknown = Reflect.get(value, "value");
      return typeof unsigned === "bigint" ? String(unsigned) : undefined;
    }
    default:
      return undefined;
  }
}

/**
 * An expression's value as text. A list or a map is JSON. A value that JSON cannot express, such as a time, is `-`.
 */
export function valueText(value: unknown): string {
  try {
    return scalarText(value) ?? JSON.stringify(value, bigintText) ?? "-";
  } catch {
    return "-";
  }
}
