export type {
  ApplyOptions,
  DeleteOptions,
  KubeClient,
  ListOptions,
  ListResult,
  RawOptions,
  RawResponse,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
export type { Collection, CollectionChange, CollectionIndex, CollectionReader, CollectionStats } from "./collection.ts";
export type { Informer, InformerChange } from "./informer.ts";
