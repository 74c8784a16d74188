import type { DescFile } from "@bufbuild/protobuf";

/** A message's name, its messages and the names of its enumerations. */
export type MessageNames = readonly [name: string, messages?: readonly MessageNames[], enums?: readonly string[]];

/** The types that a file declares, in its order. */
export interface FileNames {
  /** The file's path without its ending. */
  readonly name: string;
  readonly package: string;
  readonly messages?: readonly MessageNames[];
  readonly enums?: readonly string[];
}

/**
 * Describes a file by its FileDescriptorProto in base64, and the files that it imports, in their order. With the names
 * of its types, it does so on first use of more than these names.
 */
export declare function fileDesc(text: string, imports?: readonly DescFile[], names?: FileNames): DescFile;
