"""The kind of file, coarsely, that a media type is: what `type:` asks for and facets count.

The longest entry that a media type begins with decides.
"""

from __future__ import annotations

from functools import lru_cache

_KINDS: dict[str, str] = {
    "folder": "inode/directory",
    "text": "text/ application/json application/xml application/x-ndjson application/xslt+xml application/rdf+xml "
    "application/rss+xml application/xmp+xml application/atom+xml application/javascript application/x-yenc "
    "application/x-base64 application/x-gettext",
    "web": "text/html application/xhtml application/x-mswinurl application/warc application/x-chromium "
    "application/x-firefox",
    "document": "application/pdf application/msword application/rtf text/rtf application/epub application/oxps "
    "application/vnd.ms-powerpoint application/vnd.ms-word application/vnd.ms-works application/vnd.ms-xpsdocument "
    "application/vnd.openxmlformats-officedocument application/vnd.oasis.opendocument application/vnd.sun.xml "
    "application/vnd.stardivision "
    "application/x-hwp application/haansoft application/hwp application/vnd.hancom application/vnd.wordperfect "
    "application/vnd.visio application/x-visio application/vnd.ms-visio application/x-mspublisher "
    "application/x-fictionbook application/marc application/x-mobipocket application/x-palmdoc "
    "application/onenote application/msonenote application/vnd.apple.pages application/vnd.apple.keynote "
    "application/vnd.apple.iwork application/x-iwork application/encrypted application/x-tika-ooxml-protected "
    "image/vnd.djvu image/x.djvu application/x-tex application/x-latex text/x-tex text/x-latex "
    "application/vnd.ms-htmlhelp application/x-chm application/x-ole-storage application/CDFV2 "
    "application/x-indesign application/x-adobe-indesign application/vnd.ms-project application/vnd.ms-publisher "
    "application/vnd.ms-equation application/vnd.ms-office.flat-opc application/x-ms-devmode "
    "application/x-ole-presentation application/x-chm-system",
    "table": "text/csv text/tab-separated-values application/csv application/vnd.ms-excel application/x-dbf "
    "application/vnd.ms-spreadsheetml application/x-quattro-pro application/vnd.lotus-1-2-3 "
    "application/vnd.openxmlformats-officedocument.spreadsheetml application/vnd.oasis.opendocument.spreadsheet "
    "application/vnd.sun.xml.calc application/vnd.apple.numbers application/vnd.apache.parquet application/x-parquet "
    "application/x-avro application/avro application/x-orc application/vnd.apache.orc application/vnd.apache.avro "
    "application/x-sas application/x-hdf application/netcdf application/x-netcdf application/x-matlab "
    "application/x-grib application/x-stata application/x-spss",
    "mail": "message/ application/mbox application/vnd.ms-outlook application/x-outlook application/ms-tnef "
    "application/vnd.ms-tnef application/pkcs7-mime application/pgp-encrypted application/x-mmdf application/x-foxmail "
    "application/x-mork text/vcard text/x-vcard text/calendar",
    "picture": "image/ application/x-krita application/x-clip-studio application/x-photoshop application/x-msmetafile "
    "application/x-procreate application/acad application/x-dwg "
    "application/postscript application/eps application/illustrator",
    "animation": "application/vnd.adobe.aftereffects application/x-after-effects application/x-blender "
    "application/x-tvpaint application/x-maya application/x-toonboom application/x-premiere application/x-xfl "
    "application/x-xmeml application/x-fcpxml application/x-mlt application/x-opentoonz application/x-storyboard "
    "application/x-synfig application/x-moho application/x-animation-rig application/x-xdts application/x-tdts model/ "
    "application/x-fbx application/x-3ds-max application/x-nuke application/x-houdini application/sldworks "
    "application/vnd.las application/x-prt application/vnd.adobe.flash application/x-shockwave-flash",
    "video": "video/ application/mp4 application/vnd.rn-realmedia application/vnd.ms-asf application/x-matroska",
    "audio": "audio/ application/ogg",
    "font": "font/ application/x-font application/font-sfnt application/vnd.ms-opentype",
    "database": "application/x-sqlite application/vnd.sqlite3 application/x-msaccess application/x-ms-ese "
    "application/vnd.ms-access application/msaccess application/mdb application/sql application/x-sql "
    "application/x-pg-dump application/x-redis application/x-leveldb application/vnd.maxmind",
    "log": "application/x-ms-evt application/x-systemd-journal application/x-journal application/x-utmp "
    "application/x-wtmp application/x-lastlog application/vnd.tcpdump application/x-pcap",
    "program": "application/x-executable application/x-pie-executable application/x-sharedlib application/x-object "
    "application/x-dosexec application/x-msdownload application/vnd.microsoft.portable-executable "
    "application/x-ms-ne-executable application/x-mach application/x-elf application/java-vm application/x-java "
    "application/vnd.android application/x-ios-app application/wasm application/x-bytecode",
    "disk": "application/x-iso9660 application/x-disc-sectors application/vnd.efi application/x-raw-disk "
    "application/x-ewf application/x-encase "
    "application/x-qemu application/x-qcow application/x-virtualbox application/x-vdi application/x-vhd "
    "application/x-vmdk application/x-vmware application/x-aff4 application/x-apple-diskimage "
    "application/vnd.squashfs application/x-squashfs application/x-cramfs inode/partition inode/unallocated "
    "inode/file-table",
    "system": "application/x-ms-registry application/x-ms-shortcut application/x-ms-job application/x-ms-task "
    "application/x-ms-automatic application/x-ms-custom application/x-ms-prefetch application/x-ms-recycle "
    "application/x-ms-thumbcache application/vnd.ms-thumbnails application/x-ms-memory application/x-dmp "
    "application/x-rdp application/pkcs7-signature application/pkix application/x-x509 application/x-pkcs12 "
    "application/x-ntfs application/x-openssl application/pgp-keys application/pgp-signature application/x-plist "
    "application/x-apple-plist application/x-apple-ds application/x-ds-store application/x-bplist application/x-pem "
    "application/x-ssh application/x-crontab application/x-git application/x-putty application/pkcs10 "
    "application/x-der application/x-coredump",
    "archive": "application/zip application/gzip application/zlib application/x-tar application/x-gtar "
    "application/timestamped-data "
    "application/x-ustar application/x-7z application/x-rar application/vnd.rar application/x-bzip application/bzip2 "
    "application/x-xz application/x-lzma application/zstd application/x-zstd application/x-lz4 application/lz4 "
    "application/x-compress application/x-lzip application/lzip application/lzop application/x-lzop application/x-lzh "
    "application/x-lha application/x-arj application/x-alz application/x-egg application/vnd.egg application/x-cpio "
    "application/x-sv4cpio application/x-bcpio application/x-archive application/x-unix-archive "
    "application/x-debian-package application/vnd.debian application/x-rpm application/x-redhat "
    "application/vnd.ms-cab application/x-cab application/x-stuffit application/x-sit application/x-ace "
    "application/java-archive application/x-java-archive application/x-xar application/vnd.apple.installer "
    "application/x-snappy application/x-brotli application/x-lrzip application/x-rzip "
    "application/x-ms-wim application/x-ms-compress application/x-lzop "
    "application/x-split-file application/x-zip application/x-zlib application/x-gzip application/x-lharc "
    "application/mac-binhex "
    "application/binhex application/x-macbinary application/macbinary application/applefile "
    "application/x-applesingle multipart/appledouble application/x-msi application/x-ms-installer "
    "application/x-ole-installer application/x-nsis application/x-inno application/x-installshield "
    "application/x-bittorrent application/x-docker application/vnd.oci",
}
_BEGINNINGS = sorted(
    ((beginning, kind) for kind, every in _KINDS.items() for beginning in every.split()),
    key=lambda pair: (-len(pair[0]), pair[0]),
)
OTHER = "other"
COARSE_TYPES = (*_KINDS, OTHER)


@lru_cache(maxsize=1024)
def coarse_type(media_type: str) -> str:
    """The kind of file that a media type is: archive, picture, mail, ...; `other` where unknown."""
    return next((kind for beginning, kind in _BEGINNINGS if media_type.startswith(beginning)), OTHER)


@lru_cache(maxsize=1024)
def is_message(media_type: str) -> bool:
    """Whether it is of messages, which make a family of what is attached to them."""
    return coarse_type(media_type) == "mail" and media_type.startswith(("message/", "application/vnd.ms-outlook"))
