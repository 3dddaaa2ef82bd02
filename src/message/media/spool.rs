//! Files on their way: written here as they come, as long as the disk has more room than the reserve ([`DiskReserve`]), read as often as
//! needed, gone with the last who has them. They have no name in the file system, so that no crash leaves one behind.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::{kind::HEAD, reserve::DiskReserve, title};
use crate::outbound::{Outbound, OutboundError, Request};

/// The folder.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: Arc<PathBuf>,
    reserve: DiskReserve,
}

/// So many bytes are written between two looks at the disk.
pub const STEP: u64 = 1024 * 1024;

/// A file that has come whole. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spooled {
    file: Arc<File>,
    pub size: u64,
    pub sha256: [u8; 32],
    /// Its first bytes.
    pub head: Arc<[u8]>,
}

/// The file has more bytes than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file has more than {0} bytes")]
pub struct TooLarge(pub u64);

/// Writes a file as its pieces come.
pub struct SpoolWriter {
    file: tokio::fs::File,
    size: u64,
    limit: u64,
    hash: Sha256,
    head: Vec<u8>,
    reserve: DiskReserve,
}

/// Why a URL's file is not here.
#[derive(Debug, thiserror::Error)]
pub enum UrlFetchError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl Spool {
    /// Makes the folder. `reserve`: bytes of its disk that are not for files.
    pub fn new(folder: PathBuf, reserve: u64) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let reserve = DiskReserve::new(folder.clone(), reserve);
        Ok(Self { folder: Arc::new(folder), reserve })
    }

    /// The disk's reserve, for the writer into a [`Self::file`] to ask again, once in [`STEP`] bytes.
    pub fn reserve(&self) -> &DiskReserve {
        &self.reserve
    }

    /// A new, empty file. Blocks, shortly.
    pub fn file(&self) -> io::Result<File> {
        self.reserve.allow(0)?;
        match tempfile::tempfile_in(&*self.folder) {
            // Files can still be sent after somebody has wiped the data folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&*self.folder)?;
                tempfile::tempfile_in(&*self.folder)
            }
            made => made,
        }
    }

    /// As [`Self::pen`], for who must not block.
    pub async fn begin(&self, limit: u64) -> io::Result<SpoolWriter> {
        let spool = self.clone();
        tokio::task::spawn_blocking(move || spool.pen(limit)).await.map_err(io::Error::other)?
    }

    /// A new file, to be written in pieces, of at most `limit` bytes. Blocks as long as the disk does.
    pub fn pen(&self, limit: u64) -> io::Result<SpoolWriter> {
        let file = tokio::fs::File::from_std(self.file()?);
        let reserve = self.reserve.clone();
        Ok(SpoolWriter { file, size: 0, limit, hash: Sha256::new(), head: Vec::new(), reserve })
    }

    /// Fetches what a stranger's URL names; and the name that the file has there.
    pub async fn fetch(
        &self,
        outbound: &Outbound,
        url: reqwest::Url,
        limit: u64,
    ) -> Result<(Spooled, Option<String>), UrlFetchError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut answer = match outbound.send(Request::get(url.clone()), most).await {
            Err(OutboundError::TooLarge(_)) => return Err(TooLarge(limit).into()),
            answer => answer?,
        };
        if !answer.status.is_success() {
            return Err(UrlFetchError::Status(answer.status.as_u16()));
        }
        let named = title::of_answer(&answer.headers, &url);
        let mut pen = self.begin(limit).await?;
        while let Some(chunk) = answer.chunk().await.map_err(|error| match error {
            OutboundError::TooLarge(_) => TooLarge(limit).into(),
            error => UrlFetchError::from(error),
        })? {
            pen.write(&chunk).await??;
        }
        Ok((pen.finish().await?, named))
    }
}

impl SpoolWriter {
    /// The inner error: it is too large, and no more is taken.
    pub async fn write(&mut self, chunk: &[u8]) -> io::Result<Result<(), TooLarge>> {
        let before = self.size;
        self.size += chunk.len() as u64;
        if self.size > self.limit {
            return Ok(Err(TooLarge(self.limit)));
        }
        if before / STEP != self.size / STEP {
            self.reserve.allow_soon(chunk.len() as u64).await?;
        }
        self.hash.update(chunk);
        let missing = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&chunk[..chunk.len().min(missing)]);
        self.file.write_all(chunk).await.map(Ok)
    }

    pub async fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush().await?;
        let file = self.file.into_std().await;
        Ok(Spooled::new(file, self.size, self.hash.finalize().into(), self.head))
    }
}

impl Spooled {
    /// `file` has `size` bytes of that hash, which begin with `head`.
    pub fn new(file: File, size: u64, sha256: [u8; 32], head: Vec<u8>) -> Self {
        Self { file: Arc::new(file), size, sha256, head: head.into() }
    }

    /// From its beginning. Blocks when it is read.
    pub fn reader(&self) -> SpoolReader {
        self.reader_from(0)
    }

    pub fn reader_from(&self, at: u64) -> SpoolReader {
        SpoolReader { file: self.file.clone(), at }
    }

    /// At most `most` bytes at a place.
    pub async fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut reader = self.reader_from(at).take(most as u64);
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(most);
            reader.read_to_end(&mut bytes)?;
            Ok(bytes)
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Reads a spooled file; several may read the same one.
#[derive(Debug)]
pub struct SpoolReader {
    file: Arc<File>,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl io::Seek for SpoolReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_no_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"), 0).unwrap();
        let mut pen = spool.pen(10_000).unwrap();
        for chunk in [vec![1; 3000], vec![2; 3000]] {
            pen.write(&chunk).await.unwrap().unwrap();
        }
        let spooled = pen.finish().await.unwrap();
        let whole = [vec![1; 3000], vec![2; 3000]].concat();
        assert_eq!((spooled.size, spooled.sha256), (6000, Sha256::digest(&whole).into()));
        assert_eq!(spooled.head[..], whole[..HEAD]);
        assert_eq!(spooled.read(2999, 2).await.unwrap(), [1, 2]);
        assert_eq!(spooled.read(5999, 100).await.unwrap(), [2]);
        assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_ends_where_it_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let mut pen = Spool::new(folder.path().into(), 0).unwrap().pen(5).unwrap();
        assert_eq!(pen.write(b"12345").await.unwrap(), Ok(()));
        assert_eq!(pen.write(b"6").await.unwrap(), Err(TooLarge(5)));
    }

    #[tokio::test]
    async fn nothing_is_written_into_the_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().into(), u64::MAX).unwrap();
        assert_eq!(spool.pen(5).map(drop).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(spool.begin(5).await.map(drop).unwrap_err().kind(), io::ErrorKind::StorageFull);
        // The disk fills up while a file comes.
        let mut pen = Spool::new(folder.path().into(), 0).unwrap().pen(u64::MAX).unwrap();
        pen.reserve = spool.reserve.clone();
        pen.write(&vec![1; STEP as usize - 1]).await.unwrap().unwrap();
        assert_eq!(pen.write(&[1; 2]).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn a_wiped_folder_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"), 0).unwrap();
        std::fs::remove_dir(folder.path().join("spool")).unwrap();
        assert!(spool.pen(5).is_ok());
    }
}
