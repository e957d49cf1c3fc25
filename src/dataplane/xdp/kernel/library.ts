// libbpf: the functions that the binding uses, as they are in libbpf 1.0 and later. Negative results are -errno.
import { DataPlaneUnavailable } from '../../dataplane.ts';
import { type Foreign, koffi, type Memory, type Pointer } from './foreign.ts';

type Call<Args extends unknown[], Result> = Foreign<(...args: Args) => Result>;

export interface Libbpf {
  readonly setPrint: Call<[callback: Pointer], unknown>;
  readonly version: Call<[], string>;
  readonly possibleCpus: Call<[], number>;

  readonly objectOpen: Call<[path: string, options: null], Pointer | null>;
  readonly objectLoad: Call<[object: Pointer], number>;
  readonly objectClose: Call<[object: Pointer], void>;
  readonly objectBtf: Call<[object: Pointer], Pointer | null>;
  readonly objectNextMap: Call<[object: Pointer, previous: Pointer | null], Pointer | null>;
  readonly objectNextProgram: Call<[object: Pointer, previous: Pointer | null], Pointer | null>;

  readonly programName: Call<[program: Pointer], string>;
  readonly programSection: Call<[program: Pointer], string>;
  readonly programSetAutoload: Call<[program: Pointer, load: boolean], number>;
  readonly programFile: Call<[program: Pointer], number>;

  readonly mapName: Call<[map: Pointer], string>;
  readonly mapFile: Call<[map: Pointer], number>;
  readonly mapType: Call<[map: Pointer], number>;
  readonly mapFlags: Call<[map: Pointer], number>;
  readonly mapKeySize: Call<[map: Pointer], number>;
  readonly mapValueSize: Call<[map: Pointer], number>;
  readonly mapSetEntries: Call<[map: Pointer, entries: number], number>;
  readonly mapReuse: Call<[map: Pointer, file: number], number>;
  readonly mapInitialValue: Call<[map: Pointer, size: Memory], Pointer | null>;

  readonly btfFind: Call<[btf: Pointer, name: string, kind: number], number>;
  readonly btfType: Call<[btf: Pointer, id: number], Pointer | null>;
  readonly btfName: Call<[btf: Pointer, offset: number], string | null>;
  readonly btfSize: Call<[btf: Pointer, id: number], number>;
  readonly btfFromKernel: Call<[id: number], Pointer | null>;
  readonly btfFree: Call<[btf: Pointer], void>;

  readonly createMap: Call<
    [type: number, name: string, keySize: number, valueSize: number, entries: number, options: Memory],
    number
  >;
  readonly get: Call<[map: number, key: Memory, value: Memory], number>;
  readonly put: Call<[map: number, key: Memory, value: Memory, flags: number], number>;
  readonly remove: Call<[map: number, key: Memory], number>;
  readonly nextKey: Call<[map: number, key: Memory, next: Memory], number>;
  readonly pin: Call<[file: number, path: string], number>;
  readonly open: Call<[path: string], number>;
  readonly describe: Call<[file: number, info: Memory, size: Memory], number>;
  readonly programById: Call<[id: number], number>;
  readonly testRun: Call<[program: number, options: Memory], number>;

  readonly linkCreate: Call<[program: number, target: number, type: number, options: Memory], number>;
  readonly linkUpdate: Call<[link: number, program: number, options: Memory], number>;
  readonly linkDetach: Call<[link: number], number>;
  readonly xdpAttach: Call<[interfaceIndex: number, program: number, flags: number, options: Memory], number>;
}

let loaded: Libbpf | undefined;

/** Throws `DataPlaneUnavailable` (LIBBPF_MISSING) where libbpf or koffi cannot be loaded. */
export function libbpf(): Libbpf {
  loaded ??= load();
  return loaded;
}

function load(): Libbpf {
  const library = openLibrary();
  const declare = <F>(signature: string): F => library.func(signature) as F;
  return {
    setPrint: declare('void *libbpf_set_print(void *)'),
    version: declare('const char *libbpf_version_string()'),
    possibleCpus: declare('int libbpf_num_possible_cpus()'),

    objectOpen: declare('void *bpf_object__open_file(const char *, const void *)'),
    objectLoad: declare('int bpf_object__load(void *)'),
    objectClose: declare('void bpf_object__close(void *)'),
    objectBtf: declare('void *bpf_object__btf(void *)'),
    objectNextMap: declare('void *bpf_object__next_map(void *, void *)'),
    objectNextProgram: declare('void *bpf_object__next_program(void *, void *)'),

    programName: declare('const char *bpf_program__name(void *)'),
    programSection: declare('const char *bpf_program__section_name(void *)'),
    programSetAutoload: declare('int bpf_program__set_autoload(void *, bool)'),
    programFile: declare('int bpf_program__fd(void *)'),

    mapName: declare('const char *bpf_map__name(void *)'),
    mapFile: declare('int bpf_map__fd(void *)'),
    mapType: declare('int bpf_map__type(void *)'),
    mapFlags: declare('uint32_t bpf_map__map_flags(void *)'),
    mapKeySize: declare('uint32_t bpf_map__key_size(void *)'),
    mapValueSize: declare('uint32_t bpf_map__value_size(void *)'),
    mapSetEntries: declare('int bpf_map__set_max_entries(void *, uint32_t)'),
    mapReuse: declare('int bpf_map__reuse_fd(void *, int)'),
    mapInitialValue: declare('void *bpf_map__initial_value(void *, void *)'),

    btfFind: declare('int32_t btf__find_by_name_kind(void *, const char *, uint32_t)'),
    btfType: declare('void *btf__type_by_id(void *, uint32_t)'),
    btfName: declare('const char *btf__name_by_offset(void *, uint32_t)'),
    btfSize: declare('int64_t btf__resolve_size(void *, uint32_t)'),
    btfFromKernel: declare('void *btf__load_from_kernel_by_id(uint32_t)'),
    btfFree: declare('void btf__free(void *)'),

    createMap: declare('int bpf_map_create(int, const char *, uint32_t, uint32_t, uint32_t, void *)'),
    get: declare('int bpf_map_lookup_elem(int, void *, void *)'),
    put: declare('int bpf_map_update_elem(int, void *, void *, uint64_t)'),
    remove: declare('int bpf_map_delete_elem(int, void *)'),
    nextKey: declare('int bpf_map_get_next_key(int, void *, void *)'),
    pin: declare('int bpf_obj_pin(int, const char *)'),
    open: declare('int bpf_obj_get(const char *)'),
    describe: declare('int bpf_obj_get_info_by_fd(int, void *, void *)'),
    programById: declare('int bpf_prog_get_fd_by_id(uint32_t)'),
    testRun: declare('int bpf_prog_test_run_opts(int, void *)'),

    linkCreate: declare('int bpf_link_create(int, int, int, void *)'),
    linkUpdate: declare('int bpf_link_update(int, int, void *)'),
    linkDetach: declare('int bpf_link_detach(int)'),
    xdpAttach: declare('int bpf_xdp_attach(int, int, uint32_t, void *)'),
  };
}

function openLibrary(): ReturnType<ReturnType<typeof koffi>['load']> {
  try {
    return koffi().load('libbpf.so.1');
  } catch (error) {
    throw new DataPlaneUnavailable([
      {
        code: 'LIBBPF_MISSING',
        message: `libbpf.so.1 cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'apt-get install libbpf1',
      },
    ]);
  }
}
