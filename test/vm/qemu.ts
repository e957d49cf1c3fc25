// QEMU's command line.

export type Accelerator = 'kvm' | 'tcg';

export interface Machine {
  readonly accelerator: Accelerator;
  readonly image: string;
  readonly initramfs: string;
  readonly cpus: number;
  /** In MiB. */
  readonly memory: number;
  /** File that the kernel's messages go to. */
  readonly log: string;
  /** Added to the kernel's command line. Names without a dot become environment variables of process 1. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Devices {
  /** Written by the guest. */
  readonly output: string;
  /** Unix sockets that the guest's ports are connected to: standard output and standard error. */
  readonly ports: readonly string[];
  readonly nics: number;
  /** Pairs of a receive and a send queue that each of them has. Default 1; more take taps in place of hubs. */
  readonly queues?: number;
}

export const maximumNics = 16;

/** A machine without any device but a serial port for its kernel's log. */
export function machineArguments(machine: Machine): readonly string[] {
  const { accelerator, cpus, memory, log, environment } = machine;
  const settings = Object.entries(environment).map(([name, value]) => `"${name}=${value}"`);
  // la57 doubles the work of an emulated page walk. A panic restarts the machine at once, which -no-reboot ends.
  const kernel = ['console=ttyS0', 'quiet', 'panic=-1', 'nokaslr', 'mitigations=off', ...settings];
  return [
    ...(accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi', '-cpu', 'max,la57=off']),
    ...['-M', 'q35', '-m', `${memory}`, '-smp', `${cpus}`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-chardev', `file,id=log,path=${quote(log)}`, '-serial', 'chardev:log'],
    ...['-kernel', machine.image, '-initrd', machine.initramfs, '-append', kernel.join(' ')],
  ];
}

/** What a guest has besides: the host's files, a way out for its output, and network cards. */
export function deviceArguments({ output, ports, nics, queues = 1 }: Devices): readonly string[] {
  return [
    ...share('host', '/', 'readonly=on,multidevs=remap'),
    ...share('output', output, 'multidevs=remap'),
    ...['-device', 'virtio-serial-pci'],
    ...ports.flatMap((path, index) => [
      ...['-chardev', `socket,id=port${index + 1},path=${quote(path)}`],
      ...['-device', `virtserialport,nr=${index + 1},chardev=port${index + 1}`],
    ]),
    ...['-device', 'virtio-rng-pci'],
    ...Array.from({ length: nics }, (_, index) => nic(index + 1, queues)).flat(),
  ];
}

function share(name: string, path: string, options: string): readonly string[] {
  return [
    ...['-fsdev', `local,id=${name},path=${quote(path)},security_model=none,${options}`],
    ...['-device', `virtio-9p-pci,fsdev=${name},mount_tag=${name}`],
  ];
}

/** The cards 1 and 2 are wired together, 3 and 4, and so on; a last one without a partner is wired to nothing. */
function nic(number: number, queues: number): readonly string[] {
  const name = `nic${number}`;
  const mac = `52:54:00:00:00:${number.toString(16).padStart(2, '0')}`;
  const device = `virtio-net-pci,netdev=${name},mac=${mac},romfile=`;
  if (queues === 1) {
    const hub = Math.ceil(number / 2);
    return ['-netdev', `hubport,id=${name},hubid=${hub}`, '-device', device];
  }
  const tap = `tap,id=${name},ifname=${name},script=no,downscript=no,vhost=off,queues=${queues}`;
  // An interrupt for each queue, one for the control queue and one for changes of the configuration.
  return ['-netdev', tap, '-device', `${device},mq=on,vectors=${2 * queues + 2}`];
}

/** A comma ends an option of QEMU, a doubled one does not. */
function quote(path: string): string {
  return path.replaceAll(',', ',,');
}
