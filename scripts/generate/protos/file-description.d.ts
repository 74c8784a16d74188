import type { DescFile } from "@bufbuild/protobuf";

/** A message's name, its messages and the names of its enumerations. */
export type MessageNames = readonly [name: string, messages?: readonly MessageNames[], enums?: readonly string[]];

/** The types that a file declares, in the order of their declarations. */
export interface FileNames {
  /** The file's path without its ending. */
  readonly name: string;
  readonly package: string;
  readonly messages?: readonly MessageNames[];
  readonly enums?: readonly string[];
}

/**
 * Describes a file by its FileDescriptorProto in base64, and the files that it imports, in the order of the imports. If
 * the names of its types are given, it does so only when more than these names is needed.
 */
export declare function fileDesc(text: string, imports?: readonly DescFile[], names?: FileNames): DescFile;
