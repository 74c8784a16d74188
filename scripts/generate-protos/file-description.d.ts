import type { DescFile } from "@bufbuild/protobuf";

/** Describes a file by its FileDescriptorProto in base64, and the files that it imports, in their order. */
export declare function fileDesc(text: string, imports?: readonly DescFile[]): DescFile;
